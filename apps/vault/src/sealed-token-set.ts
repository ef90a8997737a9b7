import { isDeepStrictEqual } from 'node:util';

import { GrantedAuthorizationDetails, parseJson, PosternError, Renewal, TokenSet } from '@postern/contracts';
import { CryptoError, zero, type Opener } from '@postern/crypto';
import { sealCredential, SealedCredential, type CredentialBinding } from '@postern/keyring';
import { z } from 'zod';

/** What a lease needs of a credential; a lease decrypts this and never the refresh token. */
export const AccessPart = TokenSet.omit({ refreshToken: true, renewal: true }).extend({
  /** Did the provider replace the refresh token with this set? */
  refreshTokenRotated: z.boolean(),
  /** Only where something else stands in the place of a refresh token. */
  renewable: z.literal(true).optional(),
  /** They were looked at when they were stored; a lease reads past them. */
  authorizationDetails: z.array(z.unknown()).optional() as unknown as z.ZodOptional<
    z.ZodType<NonNullable<TokenSet['authorizationDetails']>>
  >,
});
export type AccessPart = z.infer<typeof AccessPart>;

/** By what the next access token is had, with the scopes it stands for: a refresh token, or what is asked with instead. */
export const RefreshPart = z.object({
  refreshToken: z.string().min(1).optional(),
  renewal: Renewal.optional(),
  grantedScopes: z.array(z.string()),
  authorizationDetails: GrantedAuthorizationDetails.optional(),
});
export type RefreshPart = z.infer<typeof RefreshPart>;

/** Whose credential. */
export interface ConnectionRef {
  readonly tenantId: string;
  readonly connectionId: string;
}

/** Where a connection's credential stands; the provider is the log's word, not the table's. */
export interface CredentialOwner extends ConnectionRef {
  readonly providerId: string;
}

type CredentialKind = 'access_token' | 'refresh_token' | `pending_token_set/${string}`;

/** The additional data of a ciphertext: what must be named again to open it. */
export function bindingOf(owner: CredentialOwner, credentialVersion: number, kind: CredentialKind): CredentialBinding {
  const { tenantId, providerId, connectionId } = owner;
  return { tenantId, providerId, ownerId: connectionId, credentialVersion, kind };
}

/** Opens a ciphertext in its place and seals it there again, under the owner's next data key. */
export type Reseal = (binding: CredentialBinding, sealed: Uint8Array) => Buffer;

/** Seals a JSON value in its place. */
export function sealJson(dataKey: Uint8Array, binding: CredentialBinding, value: object): Buffer {
  const plaintext = Buffer.from(JSON.stringify(value), 'utf8');
  try {
    return sealCredential({ dataKey, binding, plaintext });
  } finally {
    zero(plaintext);
  }
}

interface Sealed<T> {
  readonly binding: CredentialBinding;
  readonly sealed: Uint8Array;
  readonly schema: z.ZodType<T>;
}

/** Opens a JSON value in its place. @throws {PosternError} `vault.ciphertext_invalid` */
export function openJson<T>(dataKey: Uint8Array, sealed: Sealed<T>): T {
  return new SealedJson(sealed).open(dataKey);
}

/** What is opened again and again: its place is spelled once, and what it holds is looked at once. */
export class SealedJson<T> {
  readonly #credential: SealedCredential;
  readonly #schema: z.ZodType<T>;
  /** The same bytes under the same key in the same place are the same JSON as the first time, and that did. */
  #fits = false;

  constructor({ binding, sealed, schema }: Sealed<T>) {
    this.#credential = new SealedCredential({ binding, sealed });
    this.#schema = schema;
  }

  /** @throws {PosternError} `vault.ciphertext_invalid` */
  open(dataKey: Uint8Array): T {
    return this.withPlaintext(dataKey, (plaintext) => this.read(plaintext));
  }

  protected read(plaintext: Buffer): T {
    const json: unknown = JSON.parse(plaintext.toString('utf8'));
    if (this.#fits) return json as T;
    const value = parseJson(this.#schema, json) ?? this.#schema.parse(json);
    this.#fits = isDeepStrictEqual(value, json);
    return value;
  }

  /** `use` may keep nothing of the plaintext: it is overwritten then. */
  protected withPlaintext<R>(dataKey: Uint8Array, use: (plaintext: Buffer) => R): R {
    const plaintext = this.#credential.open(dataKey);
    try {
      return use(plaintext);
    } finally {
      zero(plaintext);
    }
  }
}

/** What a lease says of an access token beside the token itself. */
export type AccessTerms = Pick<AccessPart, 'tokenType' | 'sentAs' | 'boundTo'>;

/**
 * The sealed access token of a version. The same bytes under the same key in the same place hold the same as the first
 * time: so what is no secret is remembered, and where among them the token stands, which is then sealed from there and
 * becomes no string of JavaScript, which could not be overwritten.
 */
export class SealedAccess extends SealedJson<AccessPart> {
  #known: { readonly terms: AccessTerms; readonly start: number; readonly end: number } | undefined;

  constructor(owner: CredentialOwner, version: number, sealed: Uint8Array) {
    super({ binding: bindingOf(owner, version, 'access_token'), sealed, schema: AccessPart });
  }

  /** Undefined until it was opened once, and for a token that JSON spells otherwise. */
  get terms(): AccessTerms | undefined {
    return this.#known?.terms;
  }

  /**
   * Only where {@link terms} are known.
   *
   * @param use may keep nothing of the token: it is overwritten then.
   * @throws {PosternError} `vault.ciphertext_invalid`
   */
  withToken<R>(dataKey: Uint8Array, use: (token: Uint8Array) => R): R {
    const known = this.#known;
    if (known === undefined) throw new Error('nobody knows yet where the token stands');
    return this.withPlaintext(dataKey, (plaintext) => use(plaintext.subarray(known.start, known.end)));
  }

  protected override read(plaintext: Buffer): AccessPart {
    const part = super.read(plaintext);
    this.#known ??= knownOf(plaintext, part);
    return part;
  }
}

/** Wherever these bytes stand, they are the token. */
function knownOf(plaintext: Buffer, { accessToken, tokenType, sentAs, boundTo }: AccessPart) {
  const start = plaintext.indexOf(accessToken, 0, 'utf8');
  if (start === -1) return undefined;
  const terms = { tokenType, ...(sentAs !== undefined && { sentAs }), ...(boundTo !== undefined && { boundTo }) };
  return { terms, start, end: start + Buffer.byteLength(accessToken, 'utf8') };
}

/** Opens what another service sealed to the vault. @throws {PosternError} `request.malformed` */
export function openSealed<T>(opener: Opener, compact: string, parse: (plaintext: Buffer) => T): T {
  let plaintext: Buffer | undefined;
  try {
    plaintext = opener.open(compact).plaintext;
    return parse(plaintext);
  } catch (error) {
    if (error instanceof CryptoError || error instanceof SyntaxError || error instanceof z.ZodError) {
      throw new PosternError('request.malformed', 'What was sealed to the vault does not open, or does not fit.');
    }
    throw error;
  } finally {
    if (plaintext !== undefined) zero(plaintext);
  }
}

/** Reads a token set that was sealed to the vault. @throws {PosternError} `request.malformed` */
export function openTokenSet(opener: Opener, compact: string): TokenSet {
  return openSealed(opener, compact, (plaintext) => TokenSet.parse(JSON.parse(plaintext.toString('utf8'))));
}
