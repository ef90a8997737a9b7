import { TrustBundle } from '@postern/contracts';
import { signer, verifier, type SigningPrivateJwk, type Verifier } from '@postern/crypto';

/** Signs commits as one identity of the trust bundle. */
export interface CommitSigner {
  /** `<identity>.<kid>`, as it stands in `Postern-Key`. */
  readonly keyId: string;
  readonly identity: string;
  /** @returns base64url */
  sign(bytes: Uint8Array): string;
}

/** Tells whose signature it is. */
export interface CommitVerifier {
  /**
   * @param bytes made only when the key is known: hashing what nobody signed would be work for strangers.
   * @returns undefined for an unknown key or a signature that does not verify.
   */
  verify(keyId: string, bytes: () => Uint8Array, signature: string): { readonly identity: string } | undefined;
}

/** The signer of an identity, from its private Ed25519 key. */
export function commitSigner(identity: string, privateJwk: SigningPrivateJwk): CommitSigner {
  const key = signer(privateJwk);
  return { keyId: `${identity}.${key.keyId}`, identity, sign: (bytes) => key.sign(bytes) };
}

/**
 * Checks signatures against the keys pinned at deploy time.
 *
 * An identity may hold several keys, so that a new one can be trusted everywhere before it signs.
 */
export function commitVerifier(trust: TrustBundle): CommitVerifier {
  const keys = new Map<string, { identity: string; verifier: Verifier }>();
  for (const [identity, jwks] of Object.entries(TrustBundle.parse(trust).writers)) {
    for (const jwk of jwks ?? []) keys.set(`${identity}.${jwk.kid}`, { identity, verifier: verifier(jwk) });
  }
  return {
    verify(keyId, bytes, signature) {
      const key = keys.get(keyId);
      return key?.verifier.verify(bytes(), signature) === true ? { identity: key.identity } : undefined;
    },
  };
}
