import { Secret } from '@postern/crypto';
import type { NamedAccount } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import { accountKeysFrom, fingerprintsOf } from './account-keys.ts';
import { probeAccount } from './account-probe.ts';
import type { Exchanged } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';
import { tokenSetFrom } from './token-answer.ts';

/** What an end user's consent brought, by whichever way: the tokens, and whose they are. @internal */
export function exchangedFrom(
  { provider, isBound: bound, keepsIdentity }: ProviderCalls,
  answer: oauth.TokenEndpointResponse,
  { sentAtMs, requestedScopes }: { readonly sentAtMs: number; readonly requestedScopes: readonly string[] },
): Exchanged {
  const context = { provider, scopesOtherwise: requestedScopes, refreshTokenOtherwise: null, bound, keepsIdentity };
  const claims = oauth.getValidatedIdTokenClaims(answer);
  return {
    kind: 'exchanged',
    tokenSet: tokenSetFrom({ answer, ...context, sentAtMs }),
    account: claims === undefined ? null : { issuer: claims.iss, subject: claims.sub },
    accountKeys: accountKeysFrom(answer, provider),
  };
}

/** Where the token endpoint does not say whose the token is, the provider's API may. @internal */
export async function withProbedAccount(calls: ProviderCalls, exchanged: Exchanged): Promise<Exchanged> {
  const probed = await probedAccount(calls, Secret.from(exchanged.tokenSet.accessToken));
  return { ...exchanged, accountKeys: [...exchanged.accountKeys, ...probed] };
}

/** Tokens that somebody else was given. */
export interface GivenTokens {
  /** Null where it lives no more, and no API can be asked with it. */
  readonly accessToken: Secret | null;
  readonly refreshToken: Secret | null;
}

/** Whose account they are, as far as the provider's API and the refresh token itself tell. @internal */
export async function accountKeysOf(
  calls: ProviderCalls,
  { accessToken, refreshToken }: GivenTokens,
): Promise<NamedAccount[]> {
  const fingerprints = fingerprintsOf(refreshToken?.reveal(), calls.provider);
  return accessToken === null ? fingerprints : [...fingerprints, ...(await probedAccount(calls, accessToken))];
}

async function probedAccount(calls: ProviderCalls, accessToken: Secret): Promise<NamedAccount[]> {
  const { accountProbe } = calls.provider;
  return accountProbe === null
    ? []
    : await probeAccount(accountProbe, { accessToken, fetch: calls.fetchWith(accessToken) });
}
