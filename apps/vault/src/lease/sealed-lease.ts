import { PosternError, type X25519PublicJwk } from '@postern/contracts';
import {
  KeyInvalidError,
  parseRecipientKey,
  sealingContextsMax,
  type Sealer,
  type SealingPublicJwk,
} from '@postern/crypto';

/** What a sealed access token says about itself, readable and authenticated. */
export interface LeaseSeal {
  readonly leaseId: string;
  readonly tenantId: string;
  readonly connectionId: string;
  readonly credentialVersion: number;
  readonly expiresAtMs: number | null;
  readonly recipient: SealingPublicJwk;
}

/** To whom leases are sealed. Whether something can be sealed to a key is found out once, for as many as are sealed to at once. */
export class Recipients {
  readonly #usable = new Set<string>();

  /** @throws {PosternError} `lease.recipient_key_invalid` on a low-order or otherwise unusable key */
  of(jwk: X25519PublicJwk): SealingPublicJwk {
    const { kty, crv, x, kid } = jwk;
    if (this.#usable.has(x)) return { kty, crv, x, ...(kid !== undefined && { kid }) };
    try {
      const recipient = parseRecipientKey(jwk);
      if (this.#usable.size >= sealingContextsMax) this.#usable.clear();
      this.#usable.add(x);
      return recipient;
    } catch (error) {
      if (!(error instanceof KeyInvalidError)) throw error;
      throw new PosternError('lease.recipient_key_invalid', 'Nothing can be sealed to the recipient key.');
    }
  }
}

/**
 * Seals the access token itself, byte for byte, so that a client needs a JOSE library and no format of ours.
 *
 * The protected header binds lease (`lse`), connection (`con`), credential version (`ver`) and end (`exp`, seconds).
 */
export function sealLease(sealer: Sealer, seal: LeaseSeal, accessToken: Uint8Array): string {
  const { leaseId, tenantId, connectionId, credentialVersion, expiresAtMs, recipient } = seal;
  const bound = { cty: 'text/plain', lse: leaseId, con: connectionId, ver: credentialVersion };
  const protectedHeader = expiresAtMs === null ? bound : { ...bound, exp: Math.floor(expiresAtMs / 1000) };
  return sealer.seal({ scope: tenantId, recipient, plaintext: accessToken, protectedHeader });
}
