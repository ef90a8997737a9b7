import { createHash, diffieHellman, type KeyObject } from 'node:crypto';
import { framed, isRecord, zero } from './bytes.ts';
import { KeyInvalidError } from './errors.ts';
import { generateOkp, parseOkpPublic, type OkpKeyPair, type OkpPrivateJwk, type OkpPublicJwk } from './jwk.ts';

/** A public key that things are sealed to. */
export type SealingPublicJwk = OkpPublicJwk<'X25519'>;
/** A private key that opens them. */
export type SealingPrivateJwk = OkpPrivateJwk<'X25519'>;

/**
 * The points whose multiples by a clamped scalar are all zero, little-endian, top bit cleared: 0, 1, the two of
 * order 8, p-1, p and p+1. Whoever names one as its key chooses the "shared" secret for both sides.
 *
 * @source RFC 7748 §6.1, §7
 */
const lowOrderPoints: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/** A fresh X25519 pair; `kid` is the thumbprint. @source RFC 7748, RFC 8037 §2 */
export function generateSealingKey(): OkpKeyPair<'X25519'> {
  return generateOkp('X25519');
}

/**
 * Accepts a stranger's key to seal to: a public X25519 JWK of 32 bytes and not of low order.
 *
 * @returns the key reduced to `kty`, `crv`, `x` and `kid`.
 * @throws {KeyInvalidError} on anything else, a private part included.
 * @source RFC 8037 §2, RFC 7748 §6.1
 */
export function parseRecipientKey(jwk: unknown): SealingPublicJwk {
  const key = parseOkpPublic(jwk, 'X25519');
  const { use, alg } = isRecord(jwk) ? jwk : {};
  if (use !== undefined && use !== 'enc') throw new KeyInvalidError('a key for another use');
  if (alg !== undefined && alg !== 'ECDH-ES') throw new KeyInvalidError('a key for another algorithm');
  const point = Buffer.from(key.x, 'base64url');
  point[31] = (point[31] ?? 0) & 0x7f;
  if (lowOrderPoints.has(point.toString('hex'))) throw new KeyInvalidError('a point of low order');
  return key;
}

/**
 * The X25519 function on two keys.
 *
 * @throws {KeyInvalidError} when the result is all zero: the other side contributed nothing.
 * @source RFC 7748 §6.1
 * @internal
 */
export function sharedSecret(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  let secret: Buffer;
  try {
    secret = diffieHellman({ privateKey, publicKey });
  } catch {
    throw new KeyInvalidError('no key agreement with this key');
  }
  if (secret.every((byte) => byte === 0)) throw new KeyInvalidError('no key agreement with this key');
  return secret;
}

/** What goes into the key derivation beside the shared secret. */
export interface ConcatKdfInput {
  readonly secret: Uint8Array;
  /** The `enc` value in direct key agreement. */
  readonly algorithm: string;
  /** At most 256: one round of SHA-256 is enough for all we derive. */
  readonly keyBits: number;
  /** PartyUInfo, decoded. */
  readonly apu?: Uint8Array | undefined;
  /** PartyVInfo, decoded. */
  readonly apv?: Uint8Array | undefined;
}

/**
 * One round of the Concat KDF with SHA-256; zeroes the secret it was given.
 *
 * @source RFC 7518 §4.6.2, NIST SP 800-56A §5.8.1
 * @internal
 */
export function concatKdf({ secret, algorithm, keyBits, apu, apv }: ConcatKdfInput): Buffer {
  const none = Buffer.alloc(0);
  const otherInfo = framed(algorithm, apu ?? none, apv ?? none);
  const derived = createHash('sha256')
    .update(uint32(1))
    .update(secret)
    .update(otherInfo)
    .update(uint32(keyBits))
    .digest();
  zero(secret);
  return derived.subarray(0, keyBits / 8);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
