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
  readonly protectedHeader?: Readonly<Record<string, unknown>> | undefined;
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

/**
 * Seals one content under a derived key, with a random 96-bit IV.
 *
 * @internal
 */
export function sealIn(context: SealingContext, { plaintext, protectedHeader }: JweContent): string {
  const header = Buffer.from(headerText(context, protectedHeader)).toString('base64url');
  const iv = randomIv();
  const cipher = createCipheriv('aes-256-gcm', context.contentKey, iv, gcm);
  cipher.setAAD(Buffer.from(header, 'latin1'));
  const ciphertext = cipher.update(plaintext).toString('base64url');
  cipher.final();
  return `${header}..${iv.toString('base64url')}.${ciphertext}.${cipher.getAuthTag().toString('base64url')}`;
}

function headerText({ headerStart, hasKid }: SealingContext, members: JweContent['protectedHeader'] = {}): string {
  for (const name of Object.keys(members)) {
    if (reservedMembers.has(name)) throw new InputInvalidError(`the header member ${name} is not the caller's`);
  }
  if (hasKid && Object.hasOwn(members, 'kid')) throw new InputInvalidError('the kid is the recipient’s');
  const json = JSON.stringify(members);
  if (!json.startsWith('{')) throw new InputInvalidError('a header is a JSON object');
  return json === '{}' ? `${headerStart}}` : `${headerStart},${json.slice(1)}`;
}
