import { Secret } from '@postern/crypto';
import * as oauth from 'oauth4webapi';

import { accountKeysFrom } from './account-keys.ts';
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
  const { accountProbe } = calls.provider;
  if (accountProbe === null) return exchanged;
  const accessToken = Secret.from(exchanged.tokenSet.accessToken);
  const probed = await probeAccount(accountProbe, { accessToken, fetch: calls.fetchWith(accessToken) });
  return { ...exchanged, accountKeys: [...exchanged.accountKeys, ...probed] };
}
