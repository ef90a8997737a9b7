import { hash, sign as signBytes, verify as verifyBytes } from 'node:crypto';
import { decodeBase64url } from './bytes.ts';
import { InputInvalidError } from './errors.ts';
import {
  generateOkp,
  importPrivate,
  importPublic,
  jwkThumbprint,
  parseOkpPublic,
  type OkpKeyPair,
  type OkpPrivateJwk,
  type OkpPublicJwk,
} from './jwk.ts';

/** A public key that verifies. */
export type SigningPublicJwk = OkpPublicJwk<'Ed25519'>;
/** A private key that signs. */
export type SigningPrivateJwk = OkpPrivateJwk<'Ed25519'>;

const signatureBytes = 64;

/** A key, imported once, that signs. */
export interface Signer {
  /** The JWK's `kid`, or its thumbprint. */
  readonly keyId: string;
  /** @returns base64url, 86 characters. */
  readonly sign: (bytes: Uint8Array) => string;
}

/** A key, imported once, that verifies. */
export interface Verifier {
  /** The JWK's `kid`, or its thumbprint. */
  readonly keyId: string;
  /** @returns false for anything that is not this key's signature over these bytes; it never throws. */
  readonly verify: (bytes: Uint8Array, signature: string) => boolean;
}

/** A fresh Ed25519 pair; `kid` is the thumbprint. @source RFC 8032, RFC 8037 §2 */
export function generateSigningKey(): OkpKeyPair<'Ed25519'> {
  return generateOkp('Ed25519');
}

/**
 * Imports a private key once, so that signing costs a signature and no parsing.
 *
 * @throws {KeyInvalidError} on anything but an Ed25519 pair.
 */
export function signer(privateJwk: SigningPrivateJwk): Signer {
  const key = importPrivate(privateJwk, 'Ed25519');
  return {
    keyId: privateJwk.kid ?? jwkThumbprint(privateJwk),
    sign: (bytes) => signBytes(null, bytes, key).toString('base64url'),
  };
}

/**
 * Imports a public key once.
 *
 * @throws {KeyInvalidError} on anything but an Ed25519 public key.
 */
export function verifier(publicJwk: SigningPublicJwk): Verifier {
  const jwk = parseOkpPublic(publicJwk, 'Ed25519');
  const key = importPublic(jwk);
  return {
    keyId: jwk.kid ?? jwkThumbprint(jwk),
    verify(bytes, signature) {
      const raw = decodeBase64url(signature);
      return raw?.length === signatureBytes && verifyBytes(null, bytes, key, raw);
    },
  };
}

/**
 * What is signed: `context`, `subject` and the payload's SHA-256, a line each.
 *
 * The context keeps a signature made for one purpose from being shown for another; the subject keeps a message
 * from being moved to another aggregate.
 *
 * @throws {InputInvalidError} when context or subject hold a line break: the lines would be ambiguous.
 */
export function signedMessage(context: string, subject: string, payload: Uint8Array): Buffer {
  if (context.includes('\n') || subject.includes('\n')) throw new InputInvalidError('a line break in a signed line');
  const digest = hash('sha256', payload, 'hex');
  return Buffer.from(`${context}\n${subject}\n${digest}`, 'utf8');
}
