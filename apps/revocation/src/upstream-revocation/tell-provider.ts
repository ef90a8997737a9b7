import type { RevokeOutcome } from '@postern/provider-client';

import type { RevokingClient } from './provider-clients.ts';
import type { RevokedTokens } from './vault-secrets.ts';

/** What came of an attempt to tell the provider. */
export type Told =
  | { readonly kind: 'told'; readonly method: 'rfc7009' | 'nothing_to_revoke' }
  | {
      readonly kind: 'failed';
      readonly error: string;
      /** May a later attempt succeed? */
      readonly mayPass: boolean;
      readonly retryAfterMs: number | null;
    };

type Failure = Extract<RevokeOutcome, { kind: 'failed' }>;

/**
 * Tells the provider that the tokens are over, the refresh token first: it is the one that makes others.
 *
 * A server that revokes a refresh token should end the access tokens of its grant, and none of the catalog's files
 * promises that it does; so both are named. One that knows refresh tokens alone has been told all the same.
 *
 * @effect may be repeated: a token that is over already is a success.
 * @source RFC 7009 §2.1, §2.2
 */
export async function tellProvider(
  client: RevokingClient,
  { accessToken, refreshToken }: RevokedTokens,
): Promise<Told> {
  const failed = (outcome: Failure): Told => ({
    kind: 'failed',
    error: outcome.error,
    mayPass: mayPass(outcome),
    retryAfterMs: outcome.retryAfterMs,
  });
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

/** @source RFC 7009 §2.2.1, RFC 6749 §5.2 */
const clientRejectedWords: ReadonlySet<string> = new Set(['invalid_client', 'unauthorized_client']);

/** Our own credentials can be mended by an operator, while the tokens still live. */
function mayPass({ retryable, httpStatus, error }: Failure): boolean {
  return retryable || httpStatus === 401 || clientRejectedWords.has(error);
}
