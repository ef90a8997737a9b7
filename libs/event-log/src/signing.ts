import { TrustBundle } from '@postern/contracts';
import {
  sharedSignatureMessagesMax,
  signedFor,
  signer,
  signTogether,
  verifier,
  type Signer,
  type SignedBytes,
  type SigningPrivateJwk,
  type Verifier,
} from '@postern/crypto';

import { LruCache } from './state-cache.ts';

/** Signs commits as one identity of the trust bundle. */
export interface CommitSigner {
  /** `<identity>.<kid>`, as it stands in `Postern-Key`. */
  readonly keyId: string;
  readonly identity: string;
  /** @returns base64url */
  sign(bytes: Uint8Array): string;
  /** The same in company: what is asked for at the same time shares a signature, and each gets its proof with it. */
  signTogether(bytes: Uint8Array): Promise<string>;
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
  const together = new SharedSignatures(key);
  return {
    keyId: `${identity}.${key.keyId}`,
    identity,
    sign: (bytes) => key.sign(bytes),
    signTogether: async (bytes) => await together.sign(bytes),
  };
}

interface Unsigned {
  readonly bytes: Uint8Array;
  readonly signed: PromiseWithResolvers<string>;
}

/** Gathers what the decisions under way ask to be signed: nobody waits for more than those who are ready already. */
class SharedSignatures {
  readonly #key: Signer;
  #waiting: Unsigned[] = [];

  constructor(key: Signer) {
    this.#key = key;
  }

  sign(bytes: Uint8Array): Promise<string> {
    if (this.#waiting.length === 0) queueMicrotask(() => this.#signAll());
    const signed = Promise.withResolvers<string>();
    this.#waiting.push({ bytes, signed });
    return signed.promise;
  }

  #signAll(): void {
    this.#signGroup(this.#waiting.splice(0, sharedSignatureMessagesMax));
    if (this.#waiting.length > 0) setImmediate(() => this.#signAll());
  }

  #signGroup(group: readonly Unsigned[]): void {
    try {
      const signatures = signTogether(
        this.#key,
        group.map(({ bytes }) => bytes),
      );
      for (const [index, { signed }] of group.entries()) signed.resolve(signatures[index] ?? '');
    } catch (error) {
      for (const { signed } of group) signed.reject(error);
    }
  }
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
 * What was wrong is never remembered.
 */
export function commitVerifier(trust: TrustBundle, { rememberedMax = 0 }: CommitVerifierOptions = {}): CommitVerifier {
  const keys = new Map<string, { identity: string; verifier: Verifier }>();
  for (const [identity, jwks] of Object.entries(TrustBundle.parse(trust).writers)) {
    for (const jwk of jwks ?? []) keys.set(`${identity}.${jwk.kid}`, { identity, verifier: verifier(jwk) });
  }
  const remembered = rememberedMax > 0 ? new LruCache<true>(rememberedMax) : undefined;
  const verify: CommitVerifier['verify'] = (keyId, bytes, signature) => {
    const key = keys.get(keyId);
    if (key === undefined) return undefined;
    const signed = signedFor(bytes(), signature);
    if (signed === undefined) return undefined;
    const name = remembered && nameOf(keyId, signed);
    if (name !== undefined && remembered?.get(name) === true) return { identity: key.identity };
    if (!key.verifier.verify(signed.bytes, signed.signature)) return undefined;
    if (name !== undefined) remembered?.set(name, true);
    return { identity: key.identity };
  };
  return { verify };
}

function nameOf(keyId: string, { bytes, signature }: SignedBytes): string {
  return `${keyId}\n${signature}\n${Buffer.from(bytes).toString('latin1')}`;
}
