import { Secret } from '@postern/crypto';
import type { RevokeOutcome } from '@postern/provider-client';

import type { RevokingClient } from '../provider/provider-clients.ts';
import type { RevokedTokens } from '../provider/vault-secrets.ts';

/** What came of an attempt to tell the provider. */
export type Told =
  | { readonly kind: 'told'; readonly method: 'rfc7009' | 'provider_endpoint' | 'nothing_to_revoke' }
  | {
      readonly kind: 'failed';
      readonly error: string;
      /** May a later attempt succeed? */
      readonly mayPass: boolean;
      readonly retryAfterMs: number | null;
    };

type Failure = Extract<RevokeOutcome, { kind: 'failed' }>;

/**
 * Tells the provider that the authorization is over: by the endpoint that its file names, else by RFC 7009.
 *
 * @effect may be repeated: what is over already is a success.
 */
export async function tellProvider(
  client: RevokingClient,
  tokens: RevokedTokens,
  { nowMs }: { nowMs: number },
): Promise<Told> {
  return client.hasOwnRevocation ? await tellByOwnEndpoint(client, tokens, nowMs) : await revokeTokens(client, tokens);
}

/**
 * Names the refresh token first: it is the one that makes others.
 *
 * A server that revokes a refresh token should end the access tokens of its grant, and none of the catalog's files
 * promises that it does; so both are named. One that knows refresh tokens alone has been told all the same.
 *
 * @source RFC 7009 §2.1, §2.2
 */
async function revokeTokens(client: RevokingClient, { accessToken, refreshToken }: RevokedTokens): Promise<Told> {
  if (refreshToken !== null) {
    const outcome = await client.revoke({ token: refreshToken, hint: 'refresh_token' });
    if (outcome.kind === 'failed') return failed(outcome);
  }
  const outcome = await client.revoke({ token: accessToken, hint: 'access_token' });
  if (outcome.kind === 'failed' && (refreshToken === null || mayPass(outcome))) {
    return failed(outcome);
  }
  return { kind: 'told', method: 'rfc7009' };
}

/**
 * These endpoints take an access token that is alive, and count one that has expired as unknown, while the refresh token
 * beside it lives on. So an expired one is refreshed first; what a crash in between leaves unheld ends by itself.
 */
async function tellByOwnEndpoint(client: RevokingClient, tokens: RevokedTokens, nowMs: number): Promise<Told> {
  const { refreshToken, accessTokenExpiresAtMs, grantedScopes } = tokens;
  let { accessToken } = tokens;
  if (refreshToken !== null && accessTokenExpiresAtMs !== null && accessTokenExpiresAtMs <= nowMs) {
    const outcome = await client.refresh({ refreshToken, grantedScopes });
    if (outcome.kind === 'rejected') return { kind: 'told', method: 'nothing_to_revoke' };
    if (outcome.kind !== 'refreshed') {
      const retryAfterMs = outcome.kind === 'failed' ? outcome.retryAfterMs : null;
      return { kind: 'failed', error: outcome.error, mayPass: true, retryAfterMs };
    }
    accessToken = Secret.from(outcome.tokenSet.accessToken);
  }
  const outcome = await client.endAuthorization({ accessToken });
  return outcome.kind === 'failed' ? failed(outcome) : { kind: 'told', method: 'provider_endpoint' };
}

function failed(outcome: Failure): Told {
  const { error, retryAfterMs } = outcome;
  return { kind: 'failed', error, mayPass: mayPass(outcome), retryAfterMs };
}

/** @source RFC 7009 §2.2.1, RFC 6749 §5.2 */
const clientRejectedWords: ReadonlySet<string> = new Set(['invalid_client', 'unauthorized_client']);

/** Our own credentials can be mended by an operator, while the tokens still live. */
function mayPass({ retryable, httpStatus, error }: Failure): boolean {
  return retryable || httpStatus === 401 || clientRejectedWords.has(error);
}
