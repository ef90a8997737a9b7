import { keyedDigest } from '@postern/crypto';
import type { NamedAccount } from '@postern/provider-catalog';

/** Whose account it is: the same one at another provider, or found for another tenant, has another digest. */
export interface AccountScope {
  readonly tenantId: string;
  readonly providerId: string;
}

/**
 * How an account stands in the log and in the index: `authorization` makes it of what the token endpoint answered,
 * `revocation` of what a signal names, and only who holds the key can test a guess.
 */
export function accountKeyDigest(
  key: Uint8Array,
  { tenantId, providerId }: AccountScope,
  { key: name, values }: NamedAccount,
): string {
  return keyedDigest(key, 'provider account key', tenantId, providerId, name, ...values);
}
