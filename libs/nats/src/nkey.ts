import { createPrivateKey, createPublicKey, randomBytes, sign, verify, type KeyObject } from 'node:crypto';

import { NKeysError, NKeysErrorCode, Prefix, type KeyPair } from '@nats-io/nkeys';

/** A public key is a byte that says whose it is, the key, and a checksum; a seed has a second byte in front. */
const rawKeyBytes = 32;
const checksumBytes = 2;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** What stands before the 32 bytes of an Ed25519 key in its DER forms. @source RFC 8410 §7, §4 */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

type Role = Prefix.Operator | Prefix.Account | Prefix.User;

/**
 * A NATS key pair whose Ed25519 is the platform's.
 *
 * The client library does the same in JavaScript, multiplying curve points anew for each public key and signature: a
 * thousand times slower, at every connect and for every user issued. The formats stay the library's: it makes JWTs and
 * `.creds` files with this as with its own.
 */
export class Nkey implements KeyPair {
  readonly #seed: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: string;

  private constructor(role: number, raw: Uint8Array) {
    this.#seed = base32(withChecksum([Prefix.Seed | (role >> 5), (role & 31) << 3, ...raw]));
    this.#privateKey = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, raw]), format: 'der', type: 'pkcs8' });
    const der = createPublicKey(this.#privateKey).export({ format: 'der', type: 'spki' });
    this.#publicKey = base32(withChecksum([role, ...der.subarray(-rawKeyBytes)]));
  }

  static create(role: Role): Nkey {
    return new Nkey(role, randomBytes(rawKeyBytes));
  }

  /** @throws {Error} for anything but a seed. */
  static fromSeed(seed: string): Nkey {
    const bytes = checked(seed, rawKeyBytes + 2);
    const [first = 0, second = 0] = bytes;
    if ((first & 0xf8) !== Prefix.Seed) throw new NKeysError(NKeysErrorCode.InvalidSeed);
    return new Nkey(((first & 7) << 5) | (second >> 3), bytes.subarray(2));
  }

  /** As text, which is how it rests in files. */
  get seed(): string {
    return this.#seed;
  }

  getSeed(): Uint8Array {
    return new TextEncoder().encode(this.#seed);
  }

  getPublicKey(): string {
    return this.#publicKey;
  }

  sign(input: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, input, this.#privateKey));
  }

  verify(input: Uint8Array, signature: Uint8Array): boolean {
    return verifiedBy(this.#publicKey, input, signature);
  }

  /** The library asks for it to see that there is one. */
  getPrivateKey(): Uint8Array {
    return this.getSeed();
  }

  clear(): void {
    throw new NKeysError(NKeysErrorCode.InvalidNKeyOperation);
  }

  seal(): Uint8Array {
    throw new NKeysError(NKeysErrorCode.InvalidNKeyOperation);
  }

  open(): Uint8Array | null {
    throw new NKeysError(NKeysErrorCode.InvalidNKeyOperation);
  }
}

/**
 * What a JWT of an operator, account or user says, once its signature by the key that it names is checked.
 *
 * @throws {Error} for anything else.
 */
export function claimsOf<T>(jwt: string): T & { iss: string; iat: number; exp?: number } {
  const [header = '', body = '', signature = ''] = jwt.split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
  const signed = Buffer.from(`${header}.${body}`, 'utf8');
  if (!verifiedBy(claims.iss, signed, Buffer.from(signature, 'base64url'))) {
    throw new Error('The signature of a NATS JWT does not hold.');
  }
  return claims;
}

/**
 * The user of a `.creds` file, with or without the line feed at its end.
 *
 * @throws {Error} for a text that holds no user.
 */
export function userIn(creds: string): { jwt: string; key: Nkey } {
  const [jwt, seed] = ['NATS USER JWT', 'USER NKEY SEED'].map(
    (name) => new RegExp(`-----BEGIN ${name}-----\\s+(\\S+)`).exec(creds)?.[1],
  );
  if (jwt === undefined || seed === undefined) throw new Error('The credentials hold no NATS user.');
  return { jwt, key: Nkey.fromSeed(seed) };
}

function verifiedBy(publicKey: string, input: Uint8Array, signature: Uint8Array): boolean {
  const raw = checked(publicKey, rawKeyBytes + 1).subarray(1);
  const key = createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' });
  return verify(null, input, key, signature);
}

/** The bytes of a key or seed, without their checksum. */
function checked(text: string, length: number): Buffer {
  const bytes = fromBase32(text);
  const content = bytes.subarray(0, -checksumBytes);
  if (content.length !== length) throw new NKeysError(NKeysErrorCode.InvalidEncoding);
  if (bytes.readUInt16LE(length) !== crc16(content)) throw new NKeysError(NKeysErrorCode.InvalidChecksum);
  return content;
}

function withChecksum(content: readonly number[]): Buffer {
  const bytes = Buffer.from([...content, 0, 0]);
  bytes.writeUInt16LE(crc16(bytes.subarray(0, content.length)), content.length);
  return bytes;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}

/** Without padding. @source RFC 4648 §6 */
function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += alphabet[(value >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31];
}

function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const five = alphabet.indexOf(character);
    if (five < 0) throw new NKeysError(NKeysErrorCode.InvalidEncoding);
    value = ((value << 5) | five) & 0xfff;
    bits += 5;
    if (bits >= 8) bytes.push((value >> (bits -= 8)) & 0xff);
  }
  return Buffer.from(bytes);
}
