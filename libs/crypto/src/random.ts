import { createHash, randomBytes, randomFillSync } from 'node:crypto';
import { InputInvalidError } from './errors.ts';
import { Secret } from './secret.ts';

/** The least entropy of a token that is a secret by being unguessable. */
export const randomTokenBytesMin = 16;
const codeVerifierBytes = 32;

/**
 * An unguessable value for `state`, `nonce`, session and completion codes.
 *
 * @param bytes of entropy, at least {@link randomTokenBytesMin}; the text is a third longer.
 * @throws {InputInvalidError} when asked for less.
 */
export function randomToken(bytes = 32): string {
  if (!Number.isSafeInteger(bytes) || bytes < randomTokenBytesMin) throw new InputInvalidError('token is too short');
  return randomBytes(bytes).toString('base64url');
}

/** Length of the initialization vectors of AES-GCM. @source NIST SP 800-38D §5.2.1.1 @internal */
export const ivBytes = 12;
const ivPool = Buffer.allocUnsafe(ivBytes * 512);
let ivPoolAt = ivPool.length;

/**
 * A random IV. They are public, so many are asked of the system at a time: asking costs more than an encryption.
 *
 * @returns a view of memory that a later call overwrites: use it before anything is awaited.
 * @internal
 */
export function randomIv(): Buffer {
  if (ivPoolAt === ivPool.length) {
    randomFillSync(ivPool);
    ivPoolAt = 0;
  }
  ivPoolAt += ivBytes;
  return ivPool.subarray(ivPoolAt - ivBytes, ivPoolAt);
}

/**
 * A fresh PKCE pair: the verifier stays with us, the challenge goes with the authorization request.
 *
 * @source RFC 7636 §4.1, §4.2
 */
export function pkcePair(): PkcePair {
  const codeVerifier = randomToken(codeVerifierBytes);
  return {
    codeVerifier: Secret.from(codeVerifier),
    codeChallenge: codeChallengeS256(codeVerifier),
    codeChallengeMethod: 'S256',
  };
}

/** What {@link pkcePair} makes. `plain` does not exist here: it protects nobody who can read the request. */
export interface PkcePair {
  readonly codeVerifier: Secret;
  readonly codeChallenge: string;
  readonly codeChallengeMethod: 'S256';
}

/**
 * `code_challenge = BASE64URL-ENCODE(SHA256(ASCII(code_verifier)))`
 *
 * @source RFC 7636 §4.2
 */
export function codeChallengeS256(codeVerifier: string): string {
  return createHash('sha256').update(codeVerifier, 'ascii').digest('base64url');
}
