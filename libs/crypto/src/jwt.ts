import { createPrivateKey, createPublicKey, generateKeyPairSync, sign as signBytes, type KeyObject } from 'node:crypto';
import { KeyInvalidError } from './errors.ts';
import { jwkThumbprint } from './jwk.ts';

/** ECDSA on P-256 with SHA-256, or Ed25519. @source RFC 7518 §3.4, RFC 8037 §3.1 */
export type JwsAlgorithm = 'ES256' | 'EdDSA';

/** Shorter ones are not to be used. @source RFC 7518 §3.3 */
const rsaBitsMin = 2_048;
/** Longer ones cost more than a signature may: no provider asks for them. */
const rsaBitsMax = 4_096;

/** The public part of a signing key, as it stands in a JWKS; `kid` is its thumbprint. @source RFC 7517 §4 */
export type JwsPublicJwk =
  | {
      readonly kty: 'EC';
      readonly crv: 'P-256';
      readonly x: string;
      readonly y: string;
      readonly alg: 'ES256';
      readonly kid: string;
      readonly use: 'sig';
    }
  | {
      readonly kty: 'OKP';
      readonly crv: 'Ed25519';
      readonly x: string;
      readonly alg: 'EdDSA';
      readonly kid: string;
      readonly use: 'sig';
    }
  | {
      readonly kty: 'RSA';
      readonly n: string;
      readonly e: string;
      readonly alg: 'RS256';
      readonly kid: string;
      readonly use: 'sig';
    };

/** A private key, imported once, that signs JWTs. */
export interface JwtSigner {
  readonly publicJwk: JwsPublicJwk;
  /**
   * @param header goes beside `alg`; a `kid` or an embedded `jwk` is the caller's choice, since providers want one of them.
   * @returns the JWT in its compact form.
   * @source RFC 7515 §3.1, RFC 7519 §3
   */
  readonly sign: (jwt: {
    readonly header: Readonly<Record<string, unknown>>;
    readonly claims: Readonly<Record<string, unknown>>;
  }) => string;
}

/** A fresh private key as PKCS #8 bytes, to be sealed and then zeroed. */
export function generateJwtKey(algorithm: JwsAlgorithm): Buffer {
  const { privateKey } =
    algorithm === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  return pkcs8Of(privateKey);
}

/**
 * Reads somebody's private key: as PEM, as a JWK, or as the file of a service account that has it as PEM in its
 * `private_key`.
 *
 * @returns PKCS #8 bytes, as {@link generateJwtKey} makes them.
 * @throws {KeyInvalidError} on anything but an unencrypted private key: P-256, Ed25519, or RSA of 2,048 to 4,096 bits.
 */
export function parseJwtKey(text: string): Buffer {
  const key = privateKeyFrom(() => {
    if (!text.trimStart().startsWith('{')) return createPrivateKey({ key: text, format: 'pem' });
    const json = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const { private_key: pem } = json;
    return typeof pem === 'string'
      ? createPrivateKey({ key: pem, format: 'pem' })
      : createPrivateKey({ key: json, format: 'jwk' });
  });
  publicJwkOf(key);
  return pkcs8Of(key);
}

/**
 * Imports a private key once, so that signing costs a signature and no parsing.
 *
 * @param pkcs8 from {@link generateJwtKey} or {@link parseJwtKey}; may be zeroed afterwards.
 * @throws {KeyInvalidError}
 */
export function jwtSigner(pkcs8: Uint8Array): JwtSigner {
  const key = privateKeyFrom(() => createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }));
  const publicJwk = publicJwkOf(key);
  const { alg } = publicJwk;
  return {
    publicJwk,
    sign: ({ header, claims }) => {
      const signed = `${encoded({ ...header, alg })}.${encoded(claims)}`;
      return `${signed}.${signatureOf(Buffer.from(signed, 'ascii'), { key, alg })}`;
    },
  };
}

/** JOSE wants the two numbers of an ECDSA signature side by side, not in DER. @source RFC 7518 §3.3, §3.4 */
function signatureOf(bytes: Buffer, { key, alg }: { key: KeyObject; alg: JwsPublicJwk['alg'] }): string {
  const digest = alg === 'EdDSA' ? null : 'sha256';
  return signBytes(digest, bytes, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

function publicJwkOf(key: KeyObject): JwsPublicJwk {
  const { kty, crv, x = '', y = '', n = '', e = '' } = publicPartOf(key);
  if (kty === 'EC' && crv === 'P-256') {
    const named = { kty, crv, x, y, alg: 'ES256', use: 'sig' } as const;
    return { ...named, kid: jwkThumbprint(named) };
  }
  if (kty === 'OKP' && crv === 'Ed25519') {
    const named = { kty, crv, x, alg: 'EdDSA', use: 'sig' } as const;
    return { ...named, kid: jwkThumbprint(named) };
  }
  const { modulusLength: bits = 0 } = key.asymmetricKeyDetails ?? {};
  if (kty === 'RSA' && bits >= rsaBitsMin && bits <= rsaBitsMax) {
    const named = { kty, n, e, alg: 'RS256', use: 'sig' } as const;
    return { ...named, kid: jwkThumbprint(named) };
  }
  throw new KeyInvalidError('not a P-256, Ed25519 or RSA key of a length that is used');
}

/** A kind of key that has no JWK is none that we could use. */
function publicPartOf(key: KeyObject) {
  try {
    return createPublicKey(key).export({ format: 'jwk' });
  } catch {
    throw new KeyInvalidError('not a key of a kind that is used');
  }
}

/** What OpenSSL says of a bad key may quote it. */
function privateKeyFrom(read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch {
    throw new KeyInvalidError('not a private key');
  }
}

function pkcs8Of(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'pkcs8' });
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}
