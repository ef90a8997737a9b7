import { createHash, createHmac, hash, timingSafeEqual } from 'node:crypto';
import { framed, toBytes, type Bytes } from './bytes.ts';
import { InputInvalidError } from './errors.ts';

/** The least length of a key for {@link keyedDigest}: as long as the digest, so guessing the key is no shortcut. */
export const digestKeyBytesMin = 32;

/** SHA-256 as hex over the parts one after the other, with nothing between them: frame them where that matters. */
export function sha256Hex(...parts: readonly Bytes[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(toBytes(part));
  return hash.digest('hex');
}

/**
 * HMAC-SHA-256 over the parts one after the other, with nothing between them.
 *
 * @source RFC 2104
 */
export function hmacSha256(key: Bytes, ...parts: readonly Bytes[]): Buffer {
  const hmac = createHmac('sha256', toBytes(key));
  for (const part of parts) hmac.update(toBytes(part));
  return hmac.digest();
}

/** Compares without telling by its time where, or whether by length, two values differ. */
export function constantTimeEqual(left: Bytes, right: Bytes): boolean {
  return timingSafeEqual(sha256(left), sha256(right));
}

/**
 * A pseudonym that stays findable: equal parts under one key give equal digests, and without the key nobody can
 * test a guess. Provider accounts and end users stand in events only so; dropping the key makes them forgotten.
 *
 * @param key at least {@link digestKeyBytesMin} bytes.
 * @param parts framed, so ('ab', 'c') and ('a', 'bc') differ; begin with what the digest is for.
 * @returns 43 characters of base64url.
 * @throws {InputInvalidError} on a short key.
 */
export function keyedDigest(key: Uint8Array, ...parts: readonly Bytes[]): string {
  if (key.byteLength < digestKeyBytesMin) throw new InputInvalidError('digest key is too short');
  return hmacSha256(key, framed(...parts)).toString('base64url');
}

/**
 * The link of the chain: what the next message of an aggregate carries as `previousHash`.
 *
 * The subject is hashed with the payload, so a message moved to another aggregate breaks the chain too.
 *
 * @param payload the message's bytes exactly as stored.
 * @returns SHA-256 as hex over `subject + "\n" + payload`.
 */
export function commitHash(subject: string, payload: Uint8Array): string {
  const line = `${subject}\n`;
  const bytesMax = line.length * utf8BytesPerUnitMax + payload.byteLength;
  const room = bytesMax <= linked.length ? linked : Buffer.allocUnsafe(bytesMax);
  const lineBytes = room.write(line, 'utf8');
  room.set(payload, lineBytes);
  return hash('sha256', room.subarray(0, lineBytes + payload.byteLength), 'hex');
}

const utf8BytesPerUnitMax = 3;
/** Where subject and payload are put together for one call: nearly every commit is smaller. */
const linked = Buffer.allocUnsafe(8 * 1024);

function sha256(value: Bytes): Buffer {
  return createHash('sha256').update(toBytes(value)).digest();
}
