import { z } from 'zod';

import { factOf } from './fact.ts';
import { UrlTemplate } from './url-template.ts';
import { MemberPath } from './webhook-file.ts';

const Words = z.array(z.string().min(1).max(128)).min(1).max(32);

/** An answer of a provider's API that says something of the token, by its status and one place besides. */
const ApiAnswer = z.strictObject({
  http_status: z.number().int().min(200).max(499),
  /** Something stands there: any text, or one of the words. */
  member: MemberPath.optional(),
  words: Words.optional(),
  /** The `error` of the `WWW-Authenticate` header. @source RFC 6750 §3.1 */
  challenge: z.string().min(1).max(64).optional(),
});

/** A call of the provider's API that changes nothing and tells whether an access token, or another credential, lives. */
const TokenProbe = z.strictObject({
  method: z.enum(['GET', 'POST']).default('GET'),
  /** `{userinfo_endpoint}` is the one of the server's metadata. @source OpenID Connect Core 1.0 §5.3 */
  url: z.union([UrlTemplate.regex(/^[^?#]+$/, 'must have no query or fragment'), z.literal('{userinfo_endpoint}')]),
  alive: z.array(ApiAnswer).min(1).max(4),
  /** Whatever is neither says nothing. */
  dead: z.array(ApiAnswer).min(1).max(4),
});

/** What the provider's API says with a word of its own when it refuses a token. */
const ApiError = z.strictObject({
  words: Words,
  /** `token_rejected`: the token may be dead; `scope_missing`: it lives, and may not do this. */
  means: z.enum(['token_rejected', 'scope_missing']),
});

/** Where the calls of the API go: one address for all, or what the token endpoint's answer names at this place. */
const BaseUrl = z.union([z.strictObject({ url: UrlTemplate }), z.strictObject({ token_answer_member: MemberPath })]);

/** So many requests in so long, counted for each of these. */
const RateLimit = z.strictObject({
  requests: z.number().int().positive(),
  per_s: z.number().int().positive(),
  counted_per: z.enum(['app', 'token', 'user', 'account', 'app_and_account']),
  /** What is limited so, where that is not every call. */
  of: z.string().min(1).max(120).optional(),
});

export const ApiFile = z.strictObject({
  base_urls: z.array(factOf(BaseUrl)).max(8).default([]),
  rate_limits: z.array(factOf(RateLimit)).max(8).default([]),
  token_probe: factOf(TokenProbe).optional(),
  errors: z.array(factOf(ApiError)).max(16).default([]),
});
export type ApiFile = z.infer<typeof ApiFile>;
