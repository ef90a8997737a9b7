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
export function decryptAead({ key, sealed, additionalData }: AeadContext & { sealed: Uint8Array }): Buffer {
  const bytes = toBytes(sealed);
  if (bytes.length < overheadBytes || bytes[0] !== formatVersion) throw notOpened();
  const tagAt = bytes.length - tagBytes;
  const iv = bytes.subarray(1, 1 + ivBytes);
  const decipher = createDecipheriv('aes-256-gcm', checkedKey(key), iv, gcm);
  decipher.setAAD(versionedData(additionalData));
  decipher.setAuthTag(bytes.subarray(tagAt));
  const plaintext = decipher.update(bytes.subarray(1 + ivBytes, tagAt));
  try {
    decipher.final();
    return plaintext;
  } catch {
    zero(plaintext);
    throw notOpened();
  }
}

function versionedData(additionalData: Bytes): Buffer {
  const bytes = toBytes(additionalData);
  const versioned = Buffer.allocUnsafe(1 + bytes.length);
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
