import { z } from 'zod';

import { limits } from './limits.ts';

/** Milliseconds since 1970, as all times inside Postern are. */
export const TimeMs = z.number().int().nonnegative();

/** A time on the wire. @source RFC 3339 §5.6 */
export const Timestamp = z.iso.datetime({ offset: true });

/** A scope as the provider spells it. @source RFC 6749 §3.3 */
export const Scope = z
  .string()
  .min(1)
  .max(limits.scopeCharsMax)
  .regex(/^[\x21\x23-\x5B\x5D-\x7E]+$/, 'must be a scope token (RFC 6749 §3.3)');
export const Scopes = z.array(Scope).max(limits.scopesMax);

/** Of a provider's file: it rises with every change of what the file says. */
export const ProviderVersion = z.number().int().positive();

/**
 * What somebody who has an authorization can do with it: a thing and a verb of our own, the same at every provider, such
 * as `messages.write`.
 */
export const Capability = z
  .string()
  .max(64)
  .regex(/^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$/, 'must be a thing and a verb, such as messages.write');

/** Base64url text. */
export const Base64Url = z.string().regex(/^[A-Za-z0-9_-]+$/);

/** A public X25519 key to which something is sealed. @source RFC 8037 §2 */
export const X25519PublicJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('X25519'),
  x: z
    .string()
    .length(43)
    .regex(/^[A-Za-z0-9_-]+$/),
  kid: z.string().max(128).optional(),
  use: z.literal('enc').optional(),
  alg: z.literal('ECDH-ES').optional(),
  /** Whoever sends the private part has told the bus: nothing is sealed to such a key. */
  d: z.never().optional(),
});
export type X25519PublicJwk = z.infer<typeof X25519PublicJwk>;

/** A public Ed25519 key with which signatures are checked. @source RFC 8037 §2 */
export const Ed25519PublicJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z
    .string()
    .length(43)
    .regex(/^[A-Za-z0-9_-]+$/),
  kid: z.string().min(1).max(128),
});
export type Ed25519PublicJwk = z.infer<typeof Ed25519PublicJwk>;

/** With which kind of key of its own making the vault signs for a client registration. @source RFC 7518 §3.4, RFC 8037 §3.1 */
export const JwsAlgorithm = z.enum(['ES256', 'EdDSA']);
export type JwsAlgorithm = z.infer<typeof JwsAlgorithm>;

const Coordinate = z
  .string()
  .length(43)
  .regex(/^[A-Za-z0-9_-]+$/);
const jwkNames = { kid: z.string().min(1).max(128), use: z.literal('sig') };

/** The public part of a key with which the vault signs, as a provider takes it in a JWKS. @source RFC 7517 §4 */
export const SigningPublicJwk = z.union([
  z.object({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    x: Coordinate,
    y: Coordinate,
    alg: z.literal('ES256'),
    ...jwkNames,
  }),
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: Coordinate, alg: z.literal('EdDSA'), ...jwkNames }),
  z.object({
    kty: z.literal('RSA'),
    n: Base64Url.max(1_024),
    e: Base64Url.max(16),
    alg: z.literal('RS256'),
    ...jwkNames,
  }),
]);
export type SigningPublicJwk = z.infer<typeof SigningPublicJwk>;

/** A signed JWT: three parts, whose payload everybody can read. @source RFC 7515 §7.1 */
export const CompactJws = z
  .string()
  .max(limits.requestBytesMax)
  .regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/);

/** A compact JWE (RFC 7516 §7.1): a secret on the bus, readable by its recipient alone. */
export const CompactJwe = z
  .string()
  .max(limits.requestBytesMax)
  .regex(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/, 'must be a compact JWE');

/** The newest spellings: one time is written again and again within its millisecond. */
const spelled = Array.from({ length: 64 }, () => ({ ms: NaN, text: '' }));

/** The wire's spelling of a time inside. */
export function timestampOf(ms: number): string {
  const slot = spelled[Math.abs(ms) % spelled.length];
  if (slot === undefined) return new Date(ms).toISOString();
  if (slot.ms !== ms) {
    slot.text = new Date(ms).toISOString();
    slot.ms = ms;
  }
  return slot.text;
}
