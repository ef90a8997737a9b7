import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { decodeBase64url, isRecord } from './bytes.ts';
import { KeyInvalidError } from './errors.ts';

/** The two curves in use: Ed25519 signs, X25519 seals. @source RFC 8037 §2 */
export type OkpCurve = 'Ed25519' | 'X25519';

/** A public key of one curve; `kid` is its thumbprint where we made it. @source RFC 8037 §2 */
export interface OkpPublicJwk<C extends OkpCurve = OkpCurve> {
  readonly kty: 'OKP';
  readonly crv: C;
  readonly x: string;
  readonly kid?: string | undefined;
}

/** A private key with its public part. Never prints well: keep it in a file of mode 0600 and out of objects. */
export interface OkpPrivateJwk<C extends OkpCurve = OkpCurve> extends OkpPublicJwk<C> {
  readonly d: string;
}

/** A fresh pair; both parts carry the same `kid`. */
export interface OkpKeyPair<C extends OkpCurve> {
  readonly privateJwk: OkpPrivateJwk<C> & { readonly kid: string };
  readonly publicJwk: OkpPublicJwk<C> & { readonly kid: string };
}

const keyBytes = 32;
const kidCharactersMax = 256;

/** Lexicographic order is part of the definition. @source RFC 7638 §3.2, RFC 8037 §2 */
const thumbprintMembers: Readonly<Record<string, readonly string[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
};

/**
 * The name of a public key that anybody computes alike: our `kid`s, and `jkt` for DPoP.
 *
 * @returns SHA-256 as base64url, 43 characters.
 * @throws {KeyInvalidError} on another `kty` or a missing member.
 * @source RFC 7638 §3
 */
export function jwkThumbprint(jwk: object): string {
  const members = new Map<string, unknown>(Object.entries(jwk));
  const names = thumbprintMembers[String(members.get('kty'))];
  if (!names || names.some((name) => typeof members.get(name) !== 'string')) {
    throw new KeyInvalidError('no thumbprint for this JWK');
  }
  const required = Object.fromEntries(names.map((name) => [name, members.get(name)]));
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}

/** The public part of a key, with its `kid` and nothing else. */
export function publicJwkOf<C extends OkpCurve>(jwk: OkpPublicJwk<C>): OkpPublicJwk<C> {
  const { kty, crv, x, kid } = jwk;
  return kid === undefined ? { kty, crv, x } : { kty, crv, x, kid };
}

/** @internal */
export function generateOkp<C extends OkpCurve>(curve: C): OkpKeyPair<C> {
  const { privateKey } = curve === 'Ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
  const { x, d } = privateKey.export({ format: 'jwk' });
  const bare = { kty: 'OKP', crv: curve, x: String(x) } as const;
  const publicJwk = { ...bare, kid: jwkThumbprint(bare) };
  return { publicJwk, privateJwk: { ...publicJwk, d: String(d) } };
}

/**
 * Checks a public JWK from anywhere and reduces it to what we use. Unknown members are ignored, as RFC 7517 §4
 * asks; a private part is refused, since whoever sends one has told everybody its key.
 *
 * @internal
 */
export function parseOkpPublic<C extends OkpCurve>(jwk: unknown, curve: C): OkpPublicJwk<C> {
  if (!isRecord(jwk)) throw new KeyInvalidError('not a JWK');
  const { kty, crv, x, kid, d } = jwk;
  if (kty !== 'OKP' || crv !== curve) throw new KeyInvalidError(`not an ${curve} key`);
  if (d !== undefined) throw new KeyInvalidError('a private key where a public one belongs');
  if (typeof x !== 'string' || decodeBase64url(x)?.length !== keyBytes) throw new KeyInvalidError('not 32 bytes');
  if (kid === undefined) return { kty, crv: curve, x };
  if (typeof kid !== 'string' || kid.length > kidCharactersMax) throw new KeyInvalidError('kid is not a short string');
  return { kty, crv: curve, x, kid };
}

/** @internal */
export function importPublic(jwk: OkpPublicJwk): KeyObject {
  try {
    return createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' });
  } catch {
    throw new KeyInvalidError('not a public key');
  }
}

/** Imports once; a private part that does not belong to its public part is refused, by Node itself. @internal */
export function importPrivate<C extends OkpCurve>(jwk: OkpPrivateJwk<C>, curve: C): KeyObject {
  const { x } = parseOkpPublic(publicJwkOf(jwk), curve);
  try {
    return createPrivateKey({ key: { kty: 'OKP', crv: curve, x, d: jwk.d }, format: 'jwk' });
  } catch {
    throw new KeyInvalidError('not one pair');
  }
}
