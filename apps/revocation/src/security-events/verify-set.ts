import { isPosternError, PosternError } from '@postern/contracts';
import type { Transmitter } from '@postern/domain';
import { compactVerify, errors, type CompactVerifyResult, type CryptoKey, type RemoteJWKSet } from 'jose';

import { parseJsonBody } from '../webhooks/parse-body.ts';
import { SetRefusal } from './set-refusal.ts';

/** Signatures by a key that only the transmitter holds: no `none`, and no HMAC, whose key we would have to hold too. */
const algorithms = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
const keysTriedMax = 8;
const eventsMax = 8;
const jtiCharsMax = 512;

/** A security event token that its transmitter signed for us. */
export interface VerifiedSet {
  readonly keyId: string | null;
  readonly jti: string;
  readonly claims: object;
  /** By type. */
  readonly events: Readonly<Record<string, unknown>>;
}

/**
 * Is this a token of this transmitter, for us?
 *
 * The signature first: whoever cannot sign learns nothing of what else is wrong.
 *
 * @throws {SetRefusal}
 * @throws {PosternError} `signal.keys_unavailable`
 * @source RFC 8417 §2, §4; RFC 8935 §2.4; RFC 8725 §3
 */
export async function verifySet(token: string, transmitter: Transmitter, keys: RemoteJWKSet): Promise<VerifiedSet> {
  const { payload, protectedHeader } = await verifiedSignature(token, keys);
  const { typ, kid } = protectedHeader;
  const type = typeof typ === 'string' ? typ.toLowerCase().replace(/^application\//, '') : undefined;
  if (type !== 'secevent+jwt' && (transmitter.typeRequired || (type !== undefined && type !== 'jwt'))) {
    throw new SetRefusal('invalid_request', 'The type of the token is not secevent+jwt.');
  }
  const claims = claimsIn(payload);
  const { iss, aud, jti, iat, events } = claims;
  if (iss !== transmitter.issuer) throw new SetRefusal('invalid_issuer', 'The issuer is not the one of this stream.');
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!transmitter.audiences.some((ours) => audiences.includes(ours))) {
    throw new SetRefusal('invalid_audience', 'The audience is not the one of this stream.');
  }
  if (typeof jti !== 'string' || jti === '' || jti.length > jtiCharsMax) {
    throw new SetRefusal('invalid_request', 'The token has no jti that could be one.');
  }
  if (typeof iat !== 'number') throw new SetRefusal('invalid_request', 'The token has no iat.');
  if (!isObject(events) || Object.keys(events).length === 0 || Object.keys(events).length > eventsMax) {
    throw new SetRefusal('invalid_request', `The token has no events, or more than ${eventsMax}.`);
  }
  const keyId = typeof kid === 'string' && kid.length <= 256 ? kid : null;
  return { keyId, jti, claims, events: events as Record<string, unknown> };
}

async function verifiedSignature(token: string, keys: RemoteJWKSet): Promise<CompactVerifyResult> {
  try {
    return await compactVerify(token, keys, { algorithms });
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return await verifiedByOne(token, error);
    throw refusalOf(error);
  }
}

/** A token that names no key may be signed with any of them. */
async function verifiedByOne(token: string, fitting: AsyncIterable<CryptoKey>): Promise<CompactVerifyResult> {
  let tried = 0;
  for await (const key of fitting) {
    if ((tried += 1) > keysTriedMax) break;
    try {
      return await compactVerify(token, key, { algorithms });
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw refusalOf(error);
    }
  }
  throw notAuthentic();
}

function refusalOf(error: unknown): SetRefusal | PosternError {
  if (isPosternError(error)) return error;
  const isNoKeySet = error instanceof errors.JOSEError && error.code === errors.JOSEError.code;
  if (isNoKeySet || error instanceof errors.JWKSInvalid || error instanceof errors.JWKSTimeout) {
    return new PosternError('signal.keys_unavailable', 'What stands at the JWKS URL is no key set.', { cause: error });
  }
  // A key that nobody should sign with, such as RSA of less than 2,048 bits.
  if (error instanceof TypeError) return new SetRefusal('invalid_key', 'The key of the token cannot be used.');
  return notAuthentic();
}

const notAuthentic = () => new SetRefusal('authentication_failed', 'The token is not authentic.');

function claimsIn(payload: Uint8Array): Record<string, unknown> {
  try {
    const claims = parseJsonBody(payload);
    if (isObject(claims)) return claims as Record<string, unknown>;
  } catch (error) {
    if (!isPosternError(error)) throw error;
  }
  throw new SetRefusal('invalid_request', 'The token holds no claims.');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
