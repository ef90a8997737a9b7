import { createHash } from 'node:crypto';

import {
  fingerprintKey,
  namedAccounts,
  type NamedAccount,
  type Provider,
  type TokenFingerprint,
} from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

/** So many characters of a token tell it from all others and give nobody a part that is worth anything. */
const prefixChars = 16;

/**
 * Who authorized, by the keys of the provider's file, and the refresh token as a signal may name it.
 *
 * All of it goes into keyed digests: none of these is ever stored as it is.
 *
 * @param answer of the token endpoint, its ID token validated
 */
export function accountKeysFrom(answer: oauth.TokenEndpointResponse, provider: Provider): NamedAccount[] {
  const claims = oauth.getValidatedIdTokenClaims(answer);
  const accounts = namedAccounts(provider.accountKeys, { ...answer, id_token: claims });
  return [...accounts, ...fingerprintsOf(answer.refresh_token, provider)];
}

/** The refresh token as a signal may name it. */
export function fingerprintsOf(
  token: string | undefined,
  { tokenFingerprints }: Pick<Provider, 'tokenFingerprints'>,
): NamedAccount[] {
  if (token === undefined) return [];
  return tokenFingerprints.map((name) => ({ key: fingerprintKey(name), values: [fingerprintOf(name, token)] }));
}

function fingerprintOf(name: TokenFingerprint, token: string): string {
  if (name === 'prefix') return token.slice(0, prefixChars);
  return createHash('sha512').update(createHash('sha512').update(token).digest()).digest('base64');
}
