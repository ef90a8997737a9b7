import { createCipheriv, createDecipheriv } from 'node:crypto';
import { toBytes, zero, type Bytes } from './bytes.ts';
import { CiphertextInvalidError, KeyInvalidError } from './errors.ts';
import { ivBytes, randomIv } from './random.ts';

/** Length of an AES-256 key. */
export const aeadKeyBytes = 32;

const formatVersion = 1;
const tagBytes = 16;
const overheadBytes = 1 + ivBytes + tagBytes;
const gcm = { authTagLength: tagBytes };

/** A key and the context that must be named again to open; `additionalData` is authenticated, not stored. */
export interface AeadContext {
  /** {@link aeadKeyBytes} bytes. */
  readonly key: Uint8Array;
  readonly additionalData: Bytes;
}

/**
 * Encrypts with AES-256-GCM under a fresh random 96-bit IV.
 *
 * Random IVs keep one key safe for 2³² messages; whoever encrypts more changes the key.
 *
 * @returns version byte (1) | IV (12) | ciphertext | tag (16).
 * @throws {KeyInvalidError} when the key is not 32 bytes.
 * @source NIST SP 800-38D §8.2.2, §8.3
 */
export function encryptAead({ key, plaintext, additionalData }: AeadContext & { plaintext: Uint8Array }): Buffer {
  const iv = randomIv();
  const cipher = createCipheriv('aes-256-gcm', checkedKey(key), iv, gcm);
  cipher.setAAD(versionedData(additionalData));
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([Buffer.of(formatVersion), iv, ciphertext, cipher.getAuthTag()]);
}

/**
 * Opens what {@link encryptAead} made, under the same key and additional data only.
 *
 * @throws {CiphertextInvalidError} when anything differs.
 * @throws {KeyInvalidError} when the key is not 32 bytes.
 */
export function decryptAead({ key, ...ciphertext }: AeadContext & { sealed: Uint8Array }): Buffer {
  return new AeadCiphertext(ciphertext).open(key);
}

/** What {@link encryptAead} made, taken apart once to be opened again and again: a good part of what an opening costs. */
export class AeadCiphertext {
  readonly #version: number | undefined;
  readonly #iv: Buffer;
  readonly #ciphertext: Buffer;
  readonly #tag: Buffer;
  readonly #additionalData: Buffer;

  /** @param sealed a view is kept, no copy */
  constructor({ sealed, additionalData }: Pick<AeadContext, 'additionalData'> & { readonly sealed: Uint8Array }) {
    const bytes = toBytes(sealed);
    const tagAt = bytes.length - tagBytes;
    this.#version = bytes.length < overheadBytes ? undefined : bytes[0];
    this.#iv = bytes.subarray(1, 1 + ivBytes);
    this.#ciphertext = bytes.subarray(1 + ivBytes, tagAt);
    this.#tag = bytes.subarray(tagAt);
    this.#additionalData = versionedData(additionalData);
  }

  /**
   * @throws {CiphertextInvalidError} when the key, the additional data or a bit is another.
   * @throws {KeyInvalidError} when the key is not 32 bytes.
   */
  open(key: Uint8Array): Buffer {
    if (this.#version !== formatVersion) throw notOpened();
    const decipher = createDecipheriv('aes-256-gcm', checkedKey(key), this.#iv, gcm);
    decipher.setAAD(this.#additionalData);
    decipher.setAuthTag(this.#tag);
    const plaintext = decipher.update(this.#ciphertext);
    try {
      decipher.final();
      return plaintext;
    } catch {
      zero(plaintext);
      throw notOpened();
    }
  }
}

function versionedData(additionalData: Bytes): Buffer {
  const bytes = toBytes(additionalData);
  const versioned = Buffer.alloc(1 + bytes.length);
  versioned[0] = formatVersion;
  versioned.set(bytes, 1);
  return versioned;
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.byteLength !== aeadKeyBytes) throw new KeyInvalidError('an AES-256 key is 32 bytes');
  return key;
}

function notOpened(): CiphertextInvalidError {
  return new CiphertextInvalidError('the ciphertext does not open');
}
