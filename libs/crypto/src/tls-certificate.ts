import { createHash, createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';

import { InputInvalidError, KeyInvalidError } from './errors.ts';

/** More than any chain of certificates with its key needs. */
export const tlsCertificateBytesMax = 16 * 1024;

const chainMax = 8;
const rsaBits = { min: 2048, max: 4096 };
const certificateBlock = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
const keyBlock = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[\s\S]+?-----END (?:EC |RSA )?PRIVATE KEY-----/g;

/** What a certificate says of itself; none of it is secret. */
export interface TlsCertificateFacts {
  /** SHA-256 of the certificate, base64url: by which tokens are bound to it. @source RFC 8705 §3.1 */
  readonly x5tS256: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Reads a TLS client certificate with its chain and its private key, all in PEM.
 *
 * @returns the certificates, the one of the client first, then its key, and nothing else that stood there.
 * @throws {InputInvalidError} without a certificate, with one that does not sign the one before it, or beyond the limits.
 * @throws {KeyInvalidError} without exactly one unencrypted private key, with one that is not the certificate's, or of a
 *   kind that TLS servers do not take: P-256, P-384 or RSA of 2,048 to 4,096 bits.
 * @source RFC 8705 §2, RFC 8446 §4.4.2
 */
export function parseTlsCertificate(text: string): { readonly pem: string; readonly facts: TlsCertificateFacts } {
  if (Buffer.byteLength(text) > tlsCertificateBytesMax) throw new InputInvalidError('more than a certificate has');
  const blocks = text.match(certificateBlock) ?? [];
  const chain = blocks.map(certificateFrom);
  const [leaf] = chain;
  if (leaf === undefined || chain.length > chainMax) throw new InputInvalidError('not a chain of certificates');
  for (const [at, one] of chain.slice(0, -1).entries()) {
    const issuer = chain[at + 1];
    if (issuer === undefined || !one.checkIssued(issuer) || !one.verify(issuer.publicKey)) {
      throw new InputInvalidError('a certificate is not signed by the next one');
    }
  }
  const key = keyOf(text.match(keyBlock) ?? []);
  if (!leaf.checkPrivateKey(key)) throw new KeyInvalidError('not the key of the certificate');
  const pem = [...blocks, String(key.export({ format: 'pem', type: 'pkcs8' }))]
    .map((one) => `${one.trim()}\n`)
    .join('');
  return { pem, facts: factsOf(leaf) };
}

/**
 * What the first certificate of a PEM text says of itself.
 *
 * @throws {InputInvalidError}
 */
export function tlsCertificateFacts(pem: string): TlsCertificateFacts {
  const [first] = pem.match(certificateBlock) ?? [];
  if (first === undefined) throw new InputInvalidError('no certificate');
  return factsOf(certificateFrom(first));
}

function factsOf(leaf: X509Certificate): TlsCertificateFacts {
  return {
    x5tS256: createHash('sha256').update(leaf.raw).digest('base64url'),
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
  };
}

function certificateFrom(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new InputInvalidError('not a certificate');
  }
}

function keyOf([pem, ...more]: readonly string[]): KeyObject {
  if (pem === undefined || more.length > 0) throw new KeyInvalidError('not exactly one private key');
  const key = privateKeyFrom(pem);
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const isEc = key.asymmetricKeyType === 'ec' && (namedCurve === 'prime256v1' || namedCurve === 'secp384r1');
  const isRsa = key.asymmetricKeyType === 'rsa' && modulusLength >= rsaBits.min && modulusLength <= rsaBits.max;
  if (!isEc && !isRsa) throw new KeyInvalidError('not a key of a kind that is used');
  return key;
}

/** What OpenSSL says of a bad key may quote it. */
function privateKeyFrom(pem: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, format: 'pem' });
  } catch {
    throw new KeyInvalidError('not a private key');
  }
}
