import { createDecipheriv, type KeyObject } from 'node:crypto';
import { decodeBase64url, isRecord, zero } from './bytes.ts';
import { DerivedKeys } from './derived-keys.ts';
import { CiphertextInvalidError, CryptoError } from './errors.ts';
import { importPrivate, importPublic, jwkThumbprint } from './jwk.ts';
import { concatKdf, parseRecipientKey, sharedSecret, type SealingPrivateJwk } from './key-agreement.ts';

/** The longest compact JWE that is looked at. */
export const jweCharactersMax = 262_144;

/** How long a derived key that has opened something is kept, and how many at once: a sender uses one for a while. */
export const openingKeyAgeMsMax = 60_000;
export const openingKeysMax = 1_024;

const ivBytes = 12;
const tagBytes = 16;

/** An opened JWE; every member of the header was authenticated with it. */
export interface OpenedJwe {
  readonly plaintext: Buffer;
  readonly protectedHeader: Readonly<Record<string, unknown>>;
}

/**
 * Private keys, imported once, that open what was sealed to any of them.
 *
 * A sender that keeps its key agreement for a while (`Sealer`) is met with the same: the derived key that has opened
 * something is kept for {@link openingKeyAgeMsMax}, then wiped. It opens no more than the private key beside it would.
 */
export interface Opener {
  readonly keyIds: readonly string[];
  /** How many derived keys are held now. */
  readonly keysHeld: number;
  /** @throws {CiphertextInvalidError} when it is not for these keys, was changed, or is not of our one algorithm. */
  readonly open: (compact: string) => OpenedJwe;
  /** Wipes every derived key; the opener stays usable. */
  readonly clear: () => void;
}

interface Parsed {
  readonly header: Readonly<Record<string, unknown>>;
  readonly iv: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
  readonly additionalData: Buffer;
}

/**
 * Takes the current private key and, while it is being rotated, older ones; the header's `kid` chooses. A JWE
 * without `kid` is for the first.
 *
 * @throws {KeyInvalidError} on anything but X25519 pairs.
 */
export function opener(...privateJwks: readonly [SealingPrivateJwk, ...SealingPrivateJwk[]]): Opener {
  return new KeepingOpener(privateJwks, () => performance.now());
}

/** @internal */
export class KeepingOpener implements Opener {
  readonly keyIds: readonly string[];
  readonly #keys: ReadonlyMap<string, KeyObject>;
  readonly #derived: DerivedKeys<{ readonly contentKey: Buffer }>;

  /** @param nowMs monotonic. */
  constructor(privateJwks: readonly SealingPrivateJwk[], nowMs: () => number) {
    this.#keys = new Map(privateJwks.map((jwk) => [jwk.kid ?? jwkThumbprint(jwk), importPrivate(jwk, 'X25519')]));
    this.keyIds = [...this.#keys.keys()];
    this.#derived = new DerivedKeys({ ageMs: openingKeyAgeMsMax, size: openingKeysMax, nowMs });
  }

  get keysHeld(): number {
    return this.#derived.size;
  }

  readonly open = (compact: string): OpenedJwe => {
    const parsed = parseCompact(compact);
    const { kid, epk, apu, apv } = parsed.header;
    const keyId = kid ?? this.keyIds[0];
    const privateKey = typeof keyId === 'string' ? this.#keys.get(keyId) : undefined;
    if (!privateKey) throw notOpened();
    const name = JSON.stringify([keyId, epk, apu, apv]);
    const kept = this.#derived.get(name);
    if (kept) return { plaintext: decrypt(parsed, kept.contentKey), protectedHeader: parsed.header };
    const contentKey = contentKeyOf(parsed.header, privateKey);
    let plaintext: Buffer;
    try {
      plaintext = decrypt(parsed, contentKey);
    } catch (error) {
      zero(contentKey);
      throw error;
    }
    // Only what has opened something: what a stranger makes up pushes nobody's out.
    this.#derived.keep(name, { contentKey });
    return { plaintext, protectedHeader: parsed.header };
  };

  readonly clear = (): void => this.#derived.clear();
}

/**
 * Opens a compact JWE (ECDH-ES on X25519, A256GCM) with one private key. Opening many, keep an {@link opener}.
 *
 * Lifetimes in the header (`exp`) are authenticated but not judged: this library has no clock.
 *
 * @throws {CiphertextInvalidError} when it does not open; other algorithms, compression, `crit`, low-order and
 *   foreign ephemeral keys, non-canonical base64url and more than {@link jweCharactersMax} characters are refused.
 * @throws {KeyInvalidError} when the private key is malformed.
 * @source RFC 7516 §5.2, RFC 7518 §4.6, RFC 8037 §3.2
 */
export function openJwe(privateJwk: SealingPrivateJwk, compact: string): OpenedJwe {
  const one = opener(privateJwk);
  try {
    return one.open(compact);
  } finally {
    one.clear();
  }
}

function parseCompact(compact: string): Parsed {
  if (compact.length > jweCharactersMax) throw notOpened();
  const parts = compact.split('.', 6);
  const [headerPart = '', keyPart, ivPart, ciphertextPart, tagPart] = parts;
  const headerBytes = decodeBase64url(headerPart);
  const iv = decodeBase64url(ivPart);
  const ciphertext = decodeBase64url(ciphertextPart);
  const tag = decodeBase64url(tagPart);
  if (parts.length !== 5 || keyPart !== '' || !headerBytes || !ciphertext) throw notOpened();
  if (iv?.length !== ivBytes || tag?.length !== tagBytes) throw notOpened();
  return { header: parseHeader(headerBytes), iv, ciphertext, tag, additionalData: Buffer.from(headerPart, 'ascii') };
}

function parseHeader(bytes: Buffer): Readonly<Record<string, unknown>> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    throw notOpened();
  }
  if (!isRecord(header) || header['alg'] !== 'ECDH-ES' || header['enc'] !== 'A256GCM') throw notOpened();
  if ('crit' in header || 'zip' in header) throw notOpened();
  return header;
}

function decrypt({ iv, ciphertext, tag, additionalData }: Parsed, contentKey: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', contentKey, iv, { authTagLength: tagBytes });
  decipher.setAAD(additionalData);
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
    return plaintext;
  } catch {
    zero(plaintext);
    throw notOpened();
  }
}

function contentKeyOf(header: Readonly<Record<string, unknown>>, privateKey: KeyObject): Buffer {
  const apu = partyInfo(header['apu']);
  const apv = partyInfo(header['apv']);
  try {
    const ephemeral = importPublic(parseRecipientKey(header['epk']));
    return concatKdf({ secret: sharedSecret(privateKey, ephemeral), algorithm: 'A256GCM', keyBits: 256, apu, apv });
  } catch (error) {
    if (error instanceof CryptoError) throw notOpened();
    throw error;
  }
}

function partyInfo(member: unknown): Buffer | undefined {
  if (member === undefined) return undefined;
  const bytes = decodeBase64url(member);
  if (!bytes) throw notOpened();
  return bytes;
}

function notOpened(): CiphertextInvalidError {
  return new CiphertextInvalidError('the JWE does not open');
}
