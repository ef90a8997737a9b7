import type { AccessToken, Actor, KoaContext, Provider, ProviderErrors } from 'oidc-provider';

import { idJag, type AcmeIdentities } from './acme-identities.ts';

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange';
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token';

/** Services further down that Acme issues tokens for, and for which a user's own token is not good. */
export const acmeAudiences = Object.freeze(['acme:billing', 'acme:ledger']);

const parameters = [
  'audience',
  'resource',
  'scope',
  'requested_token_type',
  'subject_token',
  'subject_token_type',
  'actor_token',
  'actor_token_type',
] as const;

/** Scopes of the sign-in itself: no service further down needs them. */
const ofSignIn: readonly string[] = ['openid', 'offline_access'];

/** Who acts with a token that is about to be saved. */
const acting = new WeakMap<object, Actor>();

/** What oidc-provider adds to a token that it saves. */
export function actClaim(_ctx: unknown, token: object): { readonly act: Actor } | undefined {
  const act = acting.get(token);
  return act && { act };
}

interface Exchanging {
  readonly provider: Provider;
  readonly errors: ProviderErrors;
  readonly identities: AcmeIdentities;
}

/**
 * Teaches an oidc-provider, which has no token exchange of its own, to issue tokens on behalf of others: for one
 * audience, for no more scopes than the subject has, and with everybody who acts in `act`, the newest outermost. Each
 * stands by itself: to end one ends no other.
 *
 * @source RFC 8693 §2.1, §4.1
 */
export function addTokenExchange(provider: Provider, acme: Omit<Exchanging, 'provider'>): void {
  provider.registerGrantType(grantType, (ctx) => exchange(ctx, { provider, ...acme }), parameters);
}

async function exchange(ctx: KoaContext, acme: Exchanging): Promise<void> {
  const { provider, errors, identities } = acme;
  const { client, params = {} } = ctx.oidc ?? {};
  if (client === undefined) throw new errors.InvalidRequest('there is no client');
  const { audience, resource, requested_token_type: wanted = accessTokenType } = params;
  if (wanted === idJag) return await identities.assert(ctx, client.clientId, params);
  if (wanted !== accessTokenType) throw new errors.InvalidRequest('only access tokens are issued');
  if (resource !== undefined || audience === undefined || !acmeAudiences.includes(audience)) {
    throw new errors.InvalidTarget();
  }
  const subject = await subjectOf(params, acme);
  const act = await actorOf(params, subject, acme);
  const scopes = scopesOf(params['scope'], subject, acme);
  const token = new provider.AccessToken({
    ...{ client, accountId: subject.accountId, scope: scopes.join(' '), gty: 'token_exchange' },
    grantId: await new provider.Grant({ accountId: subject.accountId, clientId: client.clientId }).save(),
  });
  token.aud = audience;
  if (act !== undefined) acting.set(token, act);
  const value = await token.save();
  ctx.body = {
    ...{ access_token: value, issued_token_type: accessTokenType, token_type: 'Bearer' },
    ...{ expires_in: token.expiration, scope: scopes.join(' ') },
  };
}

async function subjectOf(params: Params, { provider, errors }: Exchanging): Promise<AccessToken> {
  if (params['subject_token_type'] !== accessTokenType) throw new errors.InvalidRequest('subject_token_type');
  const subject = await provider.AccessToken.find(params['subject_token'] ?? '');
  const lives = subject !== undefined && (await provider.Grant.find(subject.grantId)) !== undefined;
  if (!lives) throw new errors.InvalidRequest('subject_token is not valid');
  return subject;
}

/** Who acts, with everybody who acted before; undefined where nobody does. */
async function actorOf(
  { actor_token: value, actor_token_type: type }: Params,
  { extra }: AccessToken,
  { provider, errors }: Exchanging,
): Promise<Actor | undefined> {
  if ((value === undefined) !== (type === undefined)) throw new errors.InvalidRequest('actor_token_type');
  if (value === undefined) return extra?.act;
  const actor = type === accessTokenType ? await provider.ClientCredentials.find(value) : undefined;
  if (actor === undefined) throw new errors.InvalidRequest('actor_token is not valid');
  return { sub: actor.clientId, ...(extra?.act && { act: extra.act }) };
}

function scopesOf(asked: string | undefined, { scopes }: AccessToken, { errors }: Exchanging): string[] {
  const own = [...scopes].filter((scope) => !ofSignIn.includes(scope));
  const wanted = asked?.split(' ') ?? own;
  if (wanted.every((scope) => own.includes(scope))) return wanted;
  throw new errors.InvalidRequest('the subject has fewer scopes');
}

type Params = Readonly<Record<string, string | undefined>>;
