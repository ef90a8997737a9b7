import { keyedDigest } from '@postern/crypto';
import type { NamedAccount } from '@postern/provider-catalog';

import type { ProviderAccount } from './outcomes.ts';

/** Whose account it is: the same one at another provider, or found for another tenant, has another digest. */
export interface AccountScope {
  readonly tenantId: string;
  readonly providerId: string;
}

/** By issuer and subject an account is known wherever an ID token names it, whatever the provider's file says. */
export const issuerAndSubjectKey = 'iss_sub';

/**
 * How an account stands in the log and in the index: `authorization` makes it of what the token endpoint answered,
 * `revocation` of what a signal names, and only who holds the key can test a guess.
 */
export function accountKeyDigest(
  key: Uint8Array,
  { tenantId, providerId }: AccountScope,
  { key: name, values }: NamedAccount,
): string {
  const [issuer, subject] = values;
  if (name === issuerAndSubjectKey && issuer !== undefined && subject !== undefined) {
    return accountDigest(key, tenantId, { issuer, subject });
  }
  return keyedDigest(key, 'provider account key', tenantId, providerId, name, ...values.map(spelled(name)));
}

/** An account by the issuer and the subject of its ID token. */
export function accountDigest(key: Uint8Array, tenantId: string, { issuer, subject }: ProviderAccount): string {
  return keyedDigest(key, 'provider account', tenantId, issuer, subject);
}

/** Who writes an e-mail address with capitals means the same one; nothing else about it is known. @source RFC 9493 §3.2.2 */
function spelled(name: string): (value: string) => string {
  return name === 'email' ? (value) => value.trim().toLowerCase() : (value) => value;
}
