import type { Secret } from '@postern/crypto';
import { namedAccounts, type NamedAccount, type Provider } from '@postern/provider-catalog';

import type { GuardedFetch } from './guarded-fetch.ts';

interface Probing {
  readonly accessToken: Secret;
  readonly fetch: GuardedFetch;
}

/**
 * Asks the provider whose token this is, where its token endpoint does not say.
 *
 * The authorization stands whatever comes of it: without an answer, signals will not find the connection.
 *
 * @returns nobody when there is no answer that names somebody.
 */
export async function probeAccount(
  { url, names }: NonNullable<Provider['accountProbe']>,
  { accessToken, fetch }: Probing,
): Promise<NamedAccount[]> {
  const headers = {
    accept: 'application/json',
    authorization: `Bearer ${accessToken.reveal()}`,
    'user-agent': 'postern',
  };
  try {
    const response = await fetch(url, { method: 'GET', headers });
    return response.status === 200 ? namedAccounts(names, await response.json()) : [];
  } catch {
    return [];
  }
}
