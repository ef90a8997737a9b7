import { InputInvalidError } from './errors.ts';

/** Bytes, or text that stands for its UTF-8 bytes. */
export type Bytes = string | Uint8Array;

const framePrefixBytes = 4;

/**
 * The bytes themselves, without a copy where they are bytes already.
 *
 * @throws {InputInvalidError} on text with lone surrogates: UTF-8 maps them all to one character, so two
 *   different texts would hash and bind alike.
 */
export function toBytes(value: Bytes): Buffer {
  if (typeof value !== 'string') return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (!value.isWellFormed()) throw notWellFormed();
  return Buffer.from(value, 'utf8');
}

/**
 * Joins parts so that no two lists of parts give the same bytes: each is preceded by its length (32 bits,
 * big-endian). Without it `('ab', 'c')` and `('a', 'bc')` would bind and digest alike.
 */
export function framed(...parts: readonly Bytes[]): Buffer {
  const lengths = parts.map(byteLengthOf);
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + framePrefixBytes + length, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    at = bytes.writeUInt32BE(lengths[index] ?? 0, at);
    if (typeof part === 'string') at += bytes.write(part, at, 'utf8');
    else {
      bytes.set(part, at);
      at += part.byteLength;
    }
  }
  return bytes;
}

function byteLengthOf(value: Bytes): number {
  if (typeof value !== 'string') return value.byteLength;
  if (!value.isWellFormed()) throw notWellFormed();
  return Buffer.byteLength(value, 'utf8');
}

function notWellFormed(): InputInvalidError {
  return new InputInvalidError('text is not well-formed Unicode');
}

/**
 * Decodes canonical base64url without padding.
 *
 * Only the one canonical spelling is taken, or the unused bits of the last character could be changed
 * without anybody noticing.
 *
 * @returns undefined when the text is anything else.
 * @source RFC 4648 §3.5, §5
 */
export function decodeBase64url(text: unknown): Buffer | undefined {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : undefined;
}

/**
 * Overwrites a buffer that held a key or plaintext.
 *
 * @effect Best effort: the runtime may have copied the bytes; strings cannot be wiped at all.
 */
export function zero(buffer: Uint8Array): void {
  buffer.fill(0);
}

/** Narrows parsed JSON to an object whose members are still unknown. @internal */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
