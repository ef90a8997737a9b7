import { CiphertextInvalidError, openCookie, sealCookie, type Secret } from '@postern/crypto';
import type { z } from 'zod';

/** A cookie that a browser carries for us, sealed. */
export interface SealedCookie<S extends z.ZodType> {
  readonly name: string;
  readonly schema: S;
}

interface SetCookie<S extends z.ZodType> {
  readonly cookie: SealedCookie<S>;
  readonly key: Secret<Uint8Array>;
  readonly value: z.input<S>;
  readonly path: string;
  readonly maxAgeMs: number;
  /** Only where the browser comes by TLS. */
  readonly secure: boolean;
}

/**
 * A `Set-Cookie` header.
 *
 * `Lax`, since the callback is a navigation that another site began; the path keeps it from every other request.
 *
 * @source RFC 6265 §4.1
 */
export function setCookieHeader<S extends z.ZodType>(input: SetCookie<S>): string {
  const { cookie, key, value, path, maxAgeMs, secure } = input;
  const sealed = sealCookie({ key: key.reveal(), name: cookie.name, value });
  const maxAgeS = Math.max(0, Math.floor(maxAgeMs / 1000));
  return `${cookie.name}=${sealed}; Path=${path}; Max-Age=${maxAgeS}; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`;
}

/** A `Set-Cookie` header that makes the browser forget. */
export function clearCookieHeader({ name }: { name: string }, path: string): string {
  return `${name}=; Path=${path}; Max-Age=0; HttpOnly; SameSite=Lax`;
}

/** @returns undefined when there is none, or none that we sealed. */
export function readCookie<S extends z.ZodType>(
  { name, schema }: SealedCookie<S>,
  header: string | undefined,
  key: Secret<Uint8Array>,
): z.output<S> | undefined {
  for (const sealed of valuesOf(header, name)) {
    const value = opened({ key, name, sealed });
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
  }
  return undefined;
}

/** Opens a sealed text of ours. @returns undefined on anything else. */
export function opened(input: { key: Secret<Uint8Array>; name: string; sealed: string }): unknown {
  try {
    return openCookie({ ...input, key: input.key.reveal() });
  } catch (error) {
    if (error instanceof CiphertextInvalidError) return undefined;
    throw error;
  }
}

function valuesOf(header: string | undefined, name: string): string[] {
  return (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
}
