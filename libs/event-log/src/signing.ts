import { TrustBundle } from '@postern/contracts';
import { signer, verifier, type SigningPrivateJwk, type Verifier } from '@postern/crypto';

import { LruCache } from './state-cache.ts';

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
  /** Remembers a signature that this process has just made, where it remembers any. */
  remember?(keyId: string, bytes: Uint8Array, signature: string): void;
}

/** The signer of an identity, from its private Ed25519 key. */
export function commitSigner(identity: string, privateJwk: SigningPrivateJwk): CommitSigner {
  const key = signer(privateJwk);
  return { keyId: `${identity}.${key.keyId}`, identity, sign: (bytes) => key.sign(bytes) };
}

export interface CommitVerifierOptions {
  /** How many right signatures are remembered, some 400 bytes each; none when absent. */
  readonly rememberedMax?: number | undefined;
}

/**
 * Checks signatures against the keys pinned at deploy time.
 *
 * An identity may hold several keys, so that a new one can be trusted everywhere before it signs.
 *
 * A service meets the same commit as feed, as head and as the proof of the next one, and checking its signature costs
 * more than all else that is done with it: so it may remember key, signed words and signature of those that were right.
 * What was wrong is never remembered. What the process signed itself is, once one of its signatures was right: its key is
 * the one that is pinned, then.
 */
export function commitVerifier(trust: TrustBundle, { rememberedMax = 0 }: CommitVerifierOptions = {}): CommitVerifier {
  const keys = new Map<string, { identity: string; verifier: Verifier }>();
  for (const [identity, jwks] of Object.entries(TrustBundle.parse(trust).writers)) {
    for (const jwk of jwks ?? []) keys.set(`${identity}.${jwk.kid}`, { identity, verifier: verifier(jwk) });
  }
  const remembered = rememberedMax > 0 ? new LruCache<true>(rememberedMax) : undefined;
  const own = new Set<string>();
  const verify: CommitVerifier['verify'] = (keyId, bytes, signature) => {
    const key = keys.get(keyId);
    if (key === undefined) return undefined;
    const signed = bytes();
    const name = remembered && nameOf(keyId, signed, signature);
    if (name !== undefined && remembered?.get(name) === true) return { identity: key.identity };
    if (!key.verifier.verify(signed, signature)) return undefined;
    if (name !== undefined) remembered?.set(name, true);
    return { identity: key.identity };
  };
  return {
    verify,
    remember(keyId, bytes, signature) {
      if (own.has(keyId)) remembered?.set(nameOf(keyId, bytes, signature), true);
      else if (remembered !== undefined && verify(keyId, () => bytes, signature) !== undefined) own.add(keyId);
    },
  };
}

function nameOf(keyId: string, signed: Uint8Array, signature: string): string {
  return `${keyId}\n${signature}\n${Buffer.from(signed).toString('latin1')}`;
}
