import { z } from 'zod';

import { GrantedAuthorizationDetails } from './authorization-details.ts';
import { Renewal } from './grants.ts';
import { limits } from './limits.ts';
import { SentAs } from './static-credentials.ts';
import { Scopes, TimeMs } from './wire.ts';

/** Who authorized, as the provider says it to us alone; longer ones are not kept. @source OpenID Connect Core 1.0 §2 */
const Identity = z.object({
  idToken: z.string().min(1).max(limits.idTokenCharsMax),
  expiresAtMs: TimeMs,
});

/**
 * What a token endpoint answered, as it travels sealed between services and rests sealed in the vault.
 *
 * @source RFC 6749 §5.1
 */
export const TokenSet = z.object({
  accessToken: z.string().min(1).max(limits.tokenSetBytesMax),
  tokenType: z.string().min(1).max(32),
  refreshToken: z.string().min(1).max(limits.tokenSetBytesMax).nullable(),
  /** Null where the provider says nothing of an end. */
  accessTokenExpiresAtMs: TimeMs.nullable(),
  grantedScopes: Scopes,
  /** Only where another is had by something else than a refresh token, of which there is none then. */
  renewal: Renewal.optional(),
  /** Only where the access token is of use with our client certificate alone. @source RFC 8705 §3 */
  boundTo: z.literal('mtls').optional(),
  /** Only where it is no token of OAuth's, to be sent as its `tokenType` says. */
  sentAs: SentAs.optional(),
  /** Only of providers that exchange tokens: it may be shown to them again. */
  identity: Identity.optional(),
  /** Only where the provider said them, or they were asked for. @source RFC 9396 §7 */
  authorizationDetails: GrantedAuthorizationDetails.optional(),
});
export type TokenSet = z.infer<typeof TokenSet>;

/**
 * What a device authorization endpoint answered, as it travels and rests sealed until its session ends.
 *
 * There is no `verification_uri_complete`: it carries the user code in a URL, where logs and referrers find it.
 *
 * @source RFC 8628 §3.2
 */
export const DeviceCode = z.object({
  deviceCode: z.string().min(1).max(4_096),
  userCode: z.string().min(1).max(128),
  verificationUri: z.url().max(2_048),
  expiresAtMs: TimeMs,
});
export type DeviceCode = z.infer<typeof DeviceCode>;
