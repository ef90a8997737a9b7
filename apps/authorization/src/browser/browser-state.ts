import { ConnectionId, RegistrationId, SessionId, TenantId, TimeMs } from '@postern/contracts';
import { z } from 'zod';

import type { SealedCookie } from './cookies.ts';

/** That this browser was shown our page, so that no other site can press its button. */
const PageState = z.object({
  /** The session or connection of the page. */
  id: z.string(),
  /** What the page's form must repeat. */
  token: z.string().min(1),
  expiresAtMs: TimeMs,
});

/** What this browser was sent to the provider with; without it an answer belongs to nobody. */
const SentState = z.object({
  sessionId: SessionId,
  tenantId: TenantId,
  connectionId: ConnectionId,
  registrationId: RegistrationId,
  state: z.string().min(1),
  codeVerifier: z.string().min(1),
  nonce: z.string().nullable(),
  expiresAtMs: TimeMs,
});
export type SentState = z.infer<typeof SentState>;

/** That this browser is the one that is shown the user code of a session. */
const UserCodeState = z.object({ sessionId: SessionId, expiresAtMs: TimeMs });

export const userCodeCookie = { name: 'postern_code', schema: UserCodeState } satisfies SealedCookie<
  typeof UserCodeState
>;

export const pageCookie = { name: 'postern_page', schema: PageState } satisfies SealedCookie<typeof PageState>;

/** One registration has one callback path, so that two connections begun side by side do not disturb each other. */
export const sentCookie = { name: 'postern_session', schema: SentState } satisfies SealedCookie<typeof SentState>;

/** The path whose requests carry {@link sentCookie}. */
export function callbackPath(registrationId: string): string {
  return `/oauth/callback/${registrationId}`;
}
