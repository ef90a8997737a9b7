/**
 * What this library throws when it refuses. It knows no error codes of the product, so callers translate:
 * the class says whose fault it is, the message never holds input, key or plaintext.
 */
export class CryptoError extends Error {
  override readonly name: string = 'CryptoError';
}

/** A key is malformed, of another curve, of low order, private where public is asked, or not itself. */
export class KeyInvalidError extends CryptoError {
  override readonly name = 'KeyInvalidError';
}

/**
 * Something sealed does not open: malformed, changed, for another key, or over its limit.
 *
 * The message names the kind of container only: which check failed would be an oracle.
 */
export class CiphertextInvalidError extends CryptoError {
  override readonly name = 'CiphertextInvalidError';
}

/** The caller asked for something that cannot be sealed, signed or hashed unambiguously: a bug, or a limit. */
export class InputInvalidError extends CryptoError {
  override readonly name = 'InputInvalidError';
}
