import { PosternError, type SentAs, type StaticSecret, type TokenSet } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import type { Provider, StaticCredential } from '@postern/provider-catalog';

import type { ProbeOutcome, Refreshed, Refusal } from './outcomes.ts';

/**
 * What is stored and leased of a secret that somebody made by hand: the text that a request carries, and where.
 *
 * Of HTTP Basic that is the encoded pair, and of several headers a JSON object, so that whoever leases it needs no rule
 * of ours to send it.
 *
 * @throws {PosternError} `provider.flow_unsupported` where the provider's credentials are tokens of OAuth;
 *   `request.malformed` for another form than this provider's, which is named
 * @source RFC 7617 §2
 */
export function staticTokenSet({ name, credential }: Provider, secret: StaticSecret): TokenSet {
  if (credential === null) {
    throw new PosternError(
      'provider.flow_unsupported',
      `Credentials of ${name} are had by OAuth, and not made by hand.`,
    );
  }
  return { ...sentBy(credential, secret, name), refreshToken: null, accessTokenExpiresAtMs: null, grantedScopes: [] };
}

type Sent = Pick<TokenSet, 'accessToken' | 'tokenType' | 'sentAs'>;

function sentBy(credential: StaticCredential, secret: StaticSecret, provider: string): Sent {
  if (credential.kind === 'api_key' && 'api_key' in secret) {
    const { in: place, name, prefix } = credential;
    const sentAs: SentAs = place === 'query' ? { in: place, name } : { in: place, name, prefix };
    const isBearer = place === 'header' && name.toLowerCase() === 'authorization' && prefix === 'Bearer ';
    return { accessToken: secret.api_key, tokenType: isBearer ? 'Bearer' : 'api_key', sentAs };
  }
  if (credential.kind === 'basic' && 'username' in secret) {
    const wantsPassword = credential.password === 'given';
    if (wantsPassword !== (secret.password !== '')) throw unfit(provider, wantsPassword ? 'a password' : 'no password');
    const pair = `${secret.username}${credential.usernameSuffix}:${secret.password}`;
    const sentAs: SentAs = { in: 'header', name: 'Authorization', prefix: 'Basic ' };
    return { accessToken: Buffer.from(pair, 'utf8').toString('base64'), tokenType: 'Basic', sentAs };
  }
  if (credential.kind === 'headers' && 'headers' in secret) {
    const given = new Map(Object.entries(secret.headers).map(([name, value]) => [name.toLowerCase(), value]));
    const named = credential.names.map((name) => [name, given.get(name.toLowerCase())] as const);
    const complete = named.every(([, value]) => value !== undefined) && given.size === named.length;
    if (!complete) throw unfit(provider, `the headers ${credential.names.join(', ')}`);
    return { accessToken: JSON.stringify(Object.fromEntries(named)), tokenType: 'headers', sentAs: { in: 'headers' } };
  }
  throw unfit(provider, wantedForms[credential.kind]);
}

const wantedForms = Object.freeze({
  api_key: 'an API key (api_key)',
  basic: 'a username, with or without a password (username, password)',
  headers: 'headers (headers)',
});

function unfit(provider: string, wanted: string): PosternError {
  return new PosternError('request.malformed', `${provider} wants ${wanted}.`);
}

/**
 * Is a secret taken, by what the provider's API said of it? Where nobody was asked it is believed.
 *
 * @internal
 */
export function adopted(tokenSet: TokenSet, probed: ProbeOutcome | null): Refreshed | Refusal {
  if (probed === null || probed.kind === 'alive') return { kind: 'refreshed', tokenSet, rotated: false };
  const said = { errorDescription: null, error: probed.error ?? 'credential_refused' };
  if (probed.kind !== 'failed') return { kind: 'rejected', ...said, httpStatus: probed.httpStatus };
  const { httpStatus, retryAfterMs } = probed;
  return { kind: 'failed', ...said, httpStatus, retryAfterMs, mayHaveBeenProcessed: false };
}

/** How a request to the provider's API carries a credential: its URL, and its headers. @internal */
export function carrying(
  { credential }: Pick<Provider, 'credential'>,
  { url, accessToken }: { readonly url: string; readonly accessToken: Secret },
): { readonly url: string; readonly headers: Record<string, string> } {
  const text = accessToken.reveal();
  switch (credential?.kind) {
    case undefined:
      return { url, headers: { authorization: `Bearer ${text}` } };
    case 'basic':
      return { url, headers: { authorization: `Basic ${text}` } };
    case 'headers':
      return { url, headers: JSON.parse(text) as Record<string, string> };
    case 'api_key': {
      const { name, prefix } = credential;
      if (credential.in === 'header') return { url, headers: { [name.toLowerCase()]: `${prefix}${text}` } };
      const withKey = new URL(url);
      withKey.searchParams.set(name, text);
      return { url: withKey.href, headers: {} };
    }
  }
}
