import { createHash, randomBytes } from 'node:crypto';
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
