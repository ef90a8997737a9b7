import { z } from 'zod';

/** A field name of HTTP. @source RFC 9110 §5.1 */
export const HeaderName = z
  .string()
  .max(64)
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'must be the name of a header');

/** Visible characters, and spaces between them: nothing that could begin another header. @source RFC 9110 §5.5 */
const HeaderValue = z
  .string()
  .min(1)
  .max(4_096)
  .regex(/^[\x21-\x7E]([\x20-\x7E]*[\x21-\x7E])?$/, 'must be visible ASCII characters, without a line break');

/**
 * Where a credential that is no token of OAuth's stands in a request, in OpenAPI's words. Of `headers` what is leased is a
 * JSON object of all of them.
 */
export const SentAs = z.discriminatedUnion('in', [
  z.strictObject({ in: z.literal('header'), name: HeaderName, prefix: z.string().max(32) }),
  z.strictObject({ in: z.literal('query'), name: z.string().max(64) }),
  z.strictObject({ in: z.literal('headers') }),
]);
export type SentAs = z.infer<typeof SentAs>;

/** So many headers may a credential have. */
export const credentialHeadersMax = 8;

/**
 * A credential that somebody made at the provider by hand. Which form it must have, the provider's file says.
 *
 * @source RFC 7617 §2 (no colon in a user's name)
 */
export const StaticSecret = z.union(
  [
    z.strictObject({ api_key: HeaderValue }),
    z.strictObject({
      username: HeaderValue.refine((name) => !name.includes(':'), 'must have no colon (RFC 7617 §2)'),
      password: HeaderValue.or(z.literal('')).default(''),
    }),
    z.strictObject({
      headers: z
        .record(HeaderName, HeaderValue)
        .refine((headers) => Object.keys(headers).length <= credentialHeadersMax, 'has too many members'),
    }),
  ],
  { error: 'must be {"api_key"}, {"username", "password"} or {"headers": {…}}' },
);
export type StaticSecret = z.infer<typeof StaticSecret>;
