import { PosternError, type X25519PublicJwk } from '@postern/contracts';
import {
  HeaderMembers,
  KeyInvalidError,
  parseRecipientKey,
  Sealer,
  sealingContextsMax,
  type SealerTo,
} from '@postern/crypto';

/** What a sealed access token says about itself, readable and authenticated. */
export interface LeaseSeal {
  readonly leaseId: string;
  readonly connectionId: string;
  readonly credentialVersion: number;
  readonly expiresAtMs: number | null;
}

interface Recipient {
  readonly tenantId: string;
  readonly kid: string | undefined;
  readonly sealer: SealerTo;
}

/** To whom leases are sealed. Whether something can be sealed to a key is found out once, for as many as are sealed to at once. */
export class Recipients {
  readonly #sealer = new Sealer();
  readonly #known = new Map<string, Recipient>();

  /** @throws {PosternError} `lease.recipient_key_invalid` on a low-order or otherwise unusable key */
  of(tenantId: string, jwk: X25519PublicJwk): SealerTo {
    const { kid, x } = jwk;
    const known = this.#known.get(x);
    if (known !== undefined && known.kid === kid && known.tenantId === tenantId) return known.sealer;
    const sealer = this.#sealer.to({ scope: tenantId, recipient: usable(jwk) });
    if (this.#known.size >= sealingContextsMax) this.#known.clear();
    this.#known.set(x, { tenantId, kid, sealer });
    return sealer;
  }

  /** Wipes what was agreed on with them. */
  clear(): void {
    this.#sealer.clear();
  }
}

function usable(jwk: X25519PublicJwk) {
  try {
    return parseRecipientKey(jwk);
  } catch (error) {
    if (!(error instanceof KeyInvalidError)) throw error;
    throw new PosternError('lease.recipient_key_invalid', 'Nothing can be sealed to the recipient key.');
  }
}

const bound = ['cty', 'lse', 'con', 'ver'] as const;
const members = new HeaderMembers(...bound);
const membersWithEnd = new HeaderMembers(...bound, 'exp');

/**
 * Seals the access token itself, byte for byte, so that a client needs a JOSE library and no format of ours.
 *
 * The protected header binds lease (`lse`), connection (`con`), credential version (`ver`) and end (`exp`, seconds).
 */
export function sealLease(recipient: SealerTo, seal: LeaseSeal, accessToken: Uint8Array): string {
  const { leaseId, connectionId, credentialVersion, expiresAtMs } = seal;
  const protectedHeader =
    expiresAtMs === null
      ? members.spell('text/plain', leaseId, connectionId, credentialVersion)
      : membersWithEnd.spell('text/plain', leaseId, connectionId, credentialVersion, Math.floor(expiresAtMs / 1000));
  return recipient.seal({ plaintext: accessToken, protectedHeader });
}
