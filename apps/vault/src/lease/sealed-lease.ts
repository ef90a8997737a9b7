import { PosternError, type X25519PublicJwk } from '@postern/contracts';
import { KeyInvalidError, parseRecipientKey, zero, type Sealer, type SealingPublicJwk } from '@postern/crypto';

/** What a sealed access token says about itself, readable and authenticated. */
export interface LeaseSeal {
  readonly leaseId: string;
  readonly tenantId: string;
  readonly connectionId: string;
  readonly credentialVersion: number;
  readonly expiresAtMs: number | null;
  readonly recipient: SealingPublicJwk;
}

/** @throws {PosternError} `lease.recipient_key_invalid` on a low-order or otherwise unusable key */
export function recipientOf(jwk: X25519PublicJwk): SealingPublicJwk {
  try {
    return parseRecipientKey(jwk);
  } catch (error) {
    if (!(error instanceof KeyInvalidError)) throw error;
    throw new PosternError('lease.recipient_key_invalid', 'Nothing can be sealed to the recipient key.');
  }
}

/**
 * Seals the access token itself, byte for byte, so that a client needs a JOSE library and no format of ours.
 *
 * The protected header binds lease (`lse`), connection (`con`), credential version (`ver`) and end (`exp`, seconds).
 */
export function sealLease(sealer: Sealer, seal: LeaseSeal, accessToken: string): string {
  const { leaseId, tenantId, connectionId, credentialVersion, expiresAtMs, recipient } = seal;
  const bound = { cty: 'text/plain', lse: leaseId, con: connectionId, ver: credentialVersion };
  const protectedHeader = expiresAtMs === null ? bound : { ...bound, exp: Math.floor(expiresAtMs / 1000) };
  const plaintext = Buffer.from(accessToken, 'utf8');
  try {
    return sealer.seal({ scope: tenantId, recipient, plaintext, protectedHeader });
  } finally {
    zero(plaintext);
  }
}
