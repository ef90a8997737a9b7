import { decryptAead, encryptAead } from './aead.ts';
import { decodeBase64url, framed, zero } from './bytes.ts';
import { CiphertextInvalidError, InputInvalidError } from './errors.ts';

/**
 * The longest sealed value: browsers keep 4,096 bytes for name, value and attributes together.
 *
 * @source RFC 6265 §6.1
 */
export const cookieValueBytesMax = 3_840;

/** Which cookie, under which key: the name is bound, so one cookie's value does not open as another's. */
export interface CookieContext {
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly name: string;
}

/**
 * Seals browser state that the browser may carry but neither read nor change. A lifetime belongs into the
 * value: `Max-Age` is only a wish.
 *
 * @throws {InputInvalidError} when the value is no JSON or its seal would exceed {@link cookieValueBytesMax}.
 */
export function sealCookie({ key, name, value }: CookieContext & { value: unknown }): string {
  const json: string | undefined = JSON.stringify(value);
  if (json === undefined) throw new InputInvalidError('a cookie holds JSON');
  const plaintext = Buffer.from(json, 'utf8');
  const sealed = encryptAead({ key, plaintext, additionalData: cookieData(name) }).toString('base64url');
  zero(plaintext);
  if (sealed.length > cookieValueBytesMax) throw new InputInvalidError('the cookie is too long');
  return sealed;
}

/**
 * Opens what {@link sealCookie} made under the same key and name.
 *
 * @returns the JSON value, as untyped as anything that was away.
 * @throws {CiphertextInvalidError} on anything else.
 */
export function openCookie({ key, name, sealed }: CookieContext & { sealed: string }): unknown {
  const bytes = sealed.length <= cookieValueBytesMax ? decodeBase64url(sealed) : undefined;
  if (!bytes) throw new CiphertextInvalidError('the cookie does not open');
  const plaintext = decryptAead({ key, sealed: bytes, additionalData: cookieData(name) });
  try {
    return JSON.parse(plaintext.toString('utf8'));
  } catch {
    throw new CiphertextInvalidError('the cookie does not open');
  } finally {
    zero(plaintext);
  }
}

function cookieData(name: string): Buffer {
  return framed('postern cookie', name);
}
