import { createCipheriv, generateKeyPairSync } from 'node:crypto';
import { toBytes, zero, type Bytes } from './bytes.ts';
import { InputInvalidError } from './errors.ts';
import { importPublic } from './jwk.ts';
import { randomIv } from './random.ts';
import { concatKdf, parseRecipientKey, sharedSecret, type SealingPublicJwk } from './key-agreement.ts';

const gcm = { authTagLength: 16 };

/** What we say about the encryption itself; a caller's member of such a name would make the header ambiguous. */
const reservedMembers: ReadonlySet<string> = new Set(['alg', 'enc', 'epk', 'apu', 'apv', 'zip', 'crit']);

/** To whom a key agreement is made, and what is mixed into it. */
export interface AgreementParties {
  /** From {@link parseRecipientKey} or a trust bundle. */
  readonly recipient: SealingPublicJwk;
  /** PartyUInfo, about the sender. @source RFC 7518 §4.6.1.2 */
  readonly apu?: Bytes | undefined;
  /** PartyVInfo, about the recipient. @source RFC 7518 §4.6.1.3 */
  readonly apv?: Bytes | undefined;
}

/** What one JWE carries. */
export interface JweContent {
  readonly plaintext: Uint8Array;
  /**
   * Further members of the protected header (`cty`, `exp`, ids), readable by anybody and authenticated as
   * additional data. `kid` is the recipient's where it has one.
   */
  readonly protectedHeader?: Readonly<Record<string, unknown>> | SpelledMembers | undefined;
}

/** Members of a protected header as text; {@link HeaderMembers} makes it. */
export class SpelledMembers {
  /** @internal As it follows on what the encryption says of itself. */
  readonly text: string;
  /** @internal */
  readonly namesKid: boolean;

  /** @internal */
  constructor(text: string, namesKid: boolean) {
    this.text = text;
    this.namesKid = namesKid;
  }
}

/** Names of members of a protected header, looked at once for all the headers that have just these. */
export class HeaderMembers {
  readonly #names: readonly string[];
  readonly #namesKid: boolean;

  /** @throws {InputInvalidError} on reserved names, and on one that stands there twice. */
  constructor(...names: readonly string[]) {
    assertFree(names);
    if (new Set(names).size < names.length) throw new InputInvalidError('a header member named twice');
    this.#names = names.map((name) => `,${JSON.stringify(name)}:`);
    this.#namesKid = names.includes('kid');
  }

  /**
   * @param values one for each name, in order; JSON knows no number that is not finite.
   * @throws {InputInvalidError} on any other number of them.
   */
  spell(...values: readonly (string | number)[]): SpelledMembers {
    if (values.length !== this.#names.length) throw new InputInvalidError('a header member without its value');
    let text = '';
    for (let index = 0; index < values.length; index += 1) text += `${this.#names[index]}${jsonOf(values[index] ?? 0)}`;
    return new SpelledMembers(text, this.#namesKid);
  }
}

/** What JSON writes as it is, between quotes. */
const plain = /^[\w ./:+-]*$/;

function jsonOf(value: string | number): string {
  if (Number.isSafeInteger(value)) return `${value}`;
  return typeof value === 'string' && plain.test(value) ? `"${value}"` : JSON.stringify(value);
}

/** One key agreement: the ephemeral public key as header text, and the content key derived from it. @internal */
export interface SealingContext {
  readonly contentKey: Buffer;
  readonly headerStart: string;
  /** Does it name the recipient's `kid`? */
  readonly hasKid: boolean;
}

/**
 * Seals to one public key: a compact JWE, ECDH-ES on X25519 with A256GCM, that any JOSE library opens. Sealing
 * many to few recipients, keep a `Sealer`: the key agreement is most of the work.
 *
 * @throws {KeyInvalidError} on a recipient that is no good X25519 public key.
 * @throws {InputInvalidError} when the header names `alg`, `enc`, `epk`, `apu`, `apv`, `zip` or `crit`.
 * @source RFC 7516 §5.1, RFC 7518 §4.6, RFC 8037 §3.2
 */
export function sealJwe({ plaintext, protectedHeader, ...parties }: AgreementParties & JweContent): string {
  const context = agreeOn(parties);
  const compact = sealIn(context, { plaintext, protectedHeader });
  zero(context.contentKey);
  return compact;
}

/**
 * Makes an ephemeral key for one recipient, derives the content key, and forgets the ephemeral private key.
 *
 * @internal
 */
export function agreeOn({ recipient, apu, apv }: AgreementParties): SealingContext {
  const { kid, ...jwk } = parseRecipientKey(recipient);
  const { privateKey, publicKey } = generateKeyPairSync('x25519');
  const parties = {
    ...(apu === undefined ? {} : { apu: toBytes(apu) }),
    ...(apv === undefined ? {} : { apv: toBytes(apv) }),
  };
  const secret = sharedSecret(privateKey, importPublic(jwk));
  const contentKey = concatKdf({ secret, algorithm: 'A256GCM', keyBits: 256, ...parties });
  const header = {
    alg: 'ECDH-ES',
    enc: 'A256GCM',
    epk: { kty: 'OKP', crv: 'X25519', x: publicKey.export({ format: 'jwk' }).x },
    ...Object.fromEntries(Object.entries(parties).map(([name, bytes]) => [name, bytes.toString('base64url')])),
  };
  const named = kid === undefined ? header : { ...header, kid };
  return { contentKey, headerStart: JSON.stringify(named).slice(0, -1), hasKid: kid !== undefined };
}

/** Headers and whole JWEs are put together here, as far as they fit: nothing of it is secret. */
const headerRoom = Buffer.allocUnsafeSlow(4_096);
const compactRoom = Buffer.allocUnsafeSlow(16_384);

/**
 * Seals one content under a derived key, with a random 96-bit IV.
 *
 * @returns text in one piece, where it is not very long: what is pieced together JSON takes three times as long to write.
 * @internal
 */
export function sealIn(context: SealingContext, { plaintext, protectedHeader }: JweContent): string {
  const header = base64urlOf(headerText(context, protectedHeader));
  const compact = header.length < compactRoom.length ? compactRoom : Buffer.allocUnsafe(header.length);
  const headerEnd = compact.write(header, 0, 'latin1');
  const iv = randomIv();
  const cipher = createCipheriv('aes-256-gcm', context.contentKey, iv, gcm);
  cipher.setAAD(compact.subarray(0, headerEnd));
  const ciphertext = cipher.update(plaintext).toString('base64url');
  cipher.final();
  const rest = `..${iv.toString('base64url')}.${ciphertext}.${cipher.getAuthTag().toString('base64url')}`;
  if (headerEnd + rest.length > compact.length) return `${header}${rest}`;
  return compact.toString('latin1', 0, headerEnd + compact.write(rest, headerEnd, 'latin1'));
}

function base64urlOf(text: string): string {
  if (text.length * utf8BytesMax > headerRoom.length) return Buffer.from(text).toString('base64url');
  return headerRoom.toString('base64url', 0, headerRoom.write(text, 0, 'utf8'));
}

/** A unit of JavaScript's text takes as many at most. */
const utf8BytesMax = 3;

function headerText({ headerStart, hasKid }: SealingContext, members: JweContent['protectedHeader'] = {}): string {
  const isSpelled = members instanceof SpelledMembers;
  if (hasKid && (isSpelled ? members.namesKid : Object.hasOwn(members, 'kid'))) {
    throw new InputInvalidError('the kid is the recipient’s');
  }
  if (isSpelled) return `${headerStart}${members.text}}`;
  assertFree(Object.keys(members));
  const json = JSON.stringify(members);
  if (!json.startsWith('{')) throw new InputInvalidError('a header is a JSON object');
  return json === '{}' ? `${headerStart}}` : `${headerStart},${json.slice(1)}`;
}

function assertFree(names: readonly string[]): void {
  for (const name of names) {
    if (reservedMembers.has(name)) throw new InputInvalidError(`the header member ${name} is not the caller's`);
  }
}
