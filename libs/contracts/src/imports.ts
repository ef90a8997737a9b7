import { z } from 'zod';

import { ConnectionId, RegistrationId } from './ids.ts';
import { limits } from './limits.ts';
import { CompactJwe, Scopes, Timestamp } from './wire.ts';

/** A token as it stands in a header: visible characters. @source RFC 6750 §2.1, RFC 6749 appendix A.12, A.17 */
const Token = z
  .string()
  .min(1)
  // Two of them, sealed, are to fit into one sealed message.
  .max(limits.tokenSetBytesMax / 2)
  .regex(/^[\x20-\x7E]+$/, 'must be visible ASCII characters, without a line break');

/** The tokens of a connection that another broker held until now. They travel sealed. */
export const ImportedTokens = z.strictObject({
  access_token: Token.describe('A bearer token'),
  refresh_token: Token.optional(),
  expires_at: Timestamp.optional().describe('When the access token ends; absent where the provider names no end'),
});
export type ImportedTokens = z.infer<typeof ImportedTokens>;

/** What is known of such a connection and is no secret. */
const facts = {
  reference: z
    .string()
    .min(1)
    .max(limits.idempotencyKeyCharsMax)
    .describe('Its name where it comes from: the same again is the same connection, and is not made twice'),
  registration_id: RegistrationId.optional().describe('To which client its tokens were issued'),
  provider: z.string().max(64).optional().describe('Or the provider, where the tenant has one registration there'),
  end_user: z.string().min(1).max(limits.endUserCharsMax).describe("The platform's own id of the user whose it is"),
  scopes: Scopes.describe('What the provider granted'),
  return_url: z
    .string()
    .max(limits.returnUrlCharsMax)
    .optional()
    .describe('Where the user goes after authorizing it again by its reauthorize_url; without it there is none'),
  subject: z
    .string()
    .min(1)
    .max(limits.endUserCharsMax)
    .optional()
    .describe("The provider's account, as `sub` of its ID tokens names it"),
};

/** One connection of an import. */
export const ImportRow = z.strictObject({
  ...facts,
  sealed_tokens: CompactJwe.describe('Tokens as JSON, sealed to authorization; its header names the tenant'),
});
export type ImportRow = z.infer<typeof ImportRow>;

/** The same over HTTP, and as a line of a file: TLS carries the tokens, and the gateway seals them. */
export const HttpImportRow = z.strictObject({ ...facts, ...ImportedTokens.shape });
export type HttpImportRow = z.infer<typeof HttpImportRow>;

/** What became of a row, or would; `existing`: an import made it before. */
export const ImportedRow = z.object({
  reference: z.string(),
  connection_id: ConnectionId.nullable(),
  outcome: z.enum(['imported', 'existing', 'importable', 'refused']),
  /** Why it is refused. */
  code: z.string().nullable(),
  reason: z.string().nullable(),
});
export type ImportedRow = z.infer<typeof ImportedRow>;
