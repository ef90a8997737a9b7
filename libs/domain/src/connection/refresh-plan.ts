import type { ConnectionEvent } from '@postern/contracts';

import { connectionEvent } from './events.ts';
import { canRefresh } from './grants.ts';
import { requireUsable } from './guards.ts';
import type { Connection, Credential } from './state.ts';

/** No more of an access token's life than this is given away by refreshing it early. */
export const refreshLeadShareMax = 0.2;

/** When the current tokens were bought; their lives are counted from here. */
export function boughtAtMs({ refreshedAtMs, authorizedAtMs }: Credential): number {
  return refreshedAtMs ?? authorizedAtMs;
}

/**
 * The earliest time for which a refresh is planned, by the access token's end alone.
 *
 * @param leadMs what the provider's entry asks for; a short life shortens it.
 * @returns null where the provider names no end.
 */
export function earliestRefreshAtMs(credential: Credential, leadMs: number): number | null {
  const { accessTokenExpiresAtMs: endsAtMs } = credential;
  if (endsAtMs === null) return null;
  const lifeMs = Math.max(0, endsAtMs - boughtAtMs(credential));
  return endsAtMs - Math.floor(Math.min(leadMs, lifeMs * refreshLeadShareMax));
}

/**
 * How long this access token can be relied upon, if everything goes as planned: to its end, or to what the next refresh
 * leaves of it.
 */
export function reliableUntilMs(credential: Credential): number | null {
  const { accessTokenExpiresAtMs: endsAtMs, endedByRefresh } = credential;
  if (endsAtMs === null || endedByRefresh === undefined || !canRefresh(credential)) return endsAtMs;
  const plannedAtMs = earliestRefreshAtMs(credential, endedByRefresh.leadMs) ?? endsAtMs;
  return Math.min(endsAtMs, plannedAtMs + endedByRefresh.graceMs);
}

/**
 * Until when a living access token is served before a refresh token is used again that the provider may have spent: a
 * second use could cost both. To its end; but no longer than half of the time that the refresh token may still rest,
 * because waiting beyond its end would certainly cost both.
 *
 * @param restEndsAtMs when the refresh token ends if nobody uses it; null where it does not
 */
export function servedUntilMs(
  credential: Credential,
  { nowMs, restEndsAtMs }: { readonly nowMs: number; readonly restEndsAtMs: number | null },
): number {
  const endsAtMs = credential.accessTokenExpiresAtMs ?? 0;
  if (restEndsAtMs === null) return endsAtMs;
  return Math.min(endsAtMs, nowMs + Math.floor(Math.max(0, restEndsAtMs - nowMs) / 2));
}

export interface AnnounceAuthorizationEnd {
  readonly endsAtMs: number;
  /** The version whose authorization it is about. */
  readonly credentialVersion: number;
}

/**
 * Records that the provider will end the authorization then, so that its owner hears of it while there is time.
 *
 * @returns no events when it was said already, or of a version that is no longer current.
 * @throws {PosternError} `connection.*` when it may not be used.
 */
export function announceAuthorizationEnd(
  { endsAtMs, credentialVersion }: AnnounceAuthorizationEnd,
  state: Connection,
): ConnectionEvent[] {
  const credential = requireUsable(state);
  if (credential.version !== credentialVersion || credential.authorizationEndsAtMs !== undefined) return [];
  return [connectionEvent('AuthorizationExpiring', { endsAtMs })];
}

/**
 * Records that a credential which was made by hand should be replaced by now, so that its owner hears of it, once.
 *
 * @returns no events when it was said already, of a version that is no longer current, and where nobody wants it replaced.
 * @throws {PosternError} `connection.*` when it may not be used.
 */
export function announceRotation(
  { credentialVersion }: { readonly credentialVersion: number },
  state: Connection,
): ConnectionEvent[] {
  const { version, rotateAtMs, rotationDueSinceMs } = requireUsable(state);
  if (version !== credentialVersion || rotateAtMs === undefined || rotationDueSinceMs !== undefined) return [];
  return [connectionEvent('RotationDue', { credentialVersion })];
}
