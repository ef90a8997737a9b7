import { limits, PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, providerWords, type DataOf } from './events.ts';
import { canRefresh } from './grants.ts';
import { requireExisting, requireUsable } from './guards.ts';
import type { Connection, Credential } from './state.ts';

export interface StartRefresh {
  readonly claimId: string;
  /** Longer than the provider's time to answer and the vault's together. */
  readonly claimTimeoutMs: number;
  readonly reason: DataOf<'RefreshStarted'>['reason'];
  /** The version that the caller found wanting; nothing happens when it is no longer the current one. */
  readonly credentialVersion?: number;
  readonly nowMs: number;
}

export interface RequireReauthorization {
  readonly cause: DataOf<'ReauthorizationRequired'>['cause'];
  readonly evidence: string | null;
  /** The version about which this was found. */
  readonly credentialVersion: number;
  readonly nowMs: number;
}

/** Has the access token ended? One without a known end never has. */
export function hasEnded(credential: Credential, nowMs: number): boolean {
  return credential.accessTokenExpiresAtMs !== null && credential.accessTokenExpiresAtMs <= nowMs;
}

/**
 * The earliest time of the next attempt to refresh; zero when nothing stands against it.
 *
 * A request by a person or platform may come before the end of a back-off. Nothing may come before the end of the
 * living access token after an interrupted refresh (or the time that the interruption names): the retry could cost that
 * token.
 */
export function nextAttemptAtMs(state: Connection, reason: StartRefresh['reason']): number {
  const { health, interrupted, credential } = state;
  const held =
    interrupted !== null && interrupted.credentialVersion === credential?.version
      ? (interrupted.retryAtMs ?? credential.accessTokenExpiresAtMs ?? 0)
      : 0;
  return reason === 'requested' ? held : Math.max(held, health.nextAttemptAtMs ?? 0);
}

/** @throws {PosternError} `refresh.unavailable` with `retry_after_s` */
export function requireAttemptAllowed(state: Connection, reason: StartRefresh['reason'], nowMs: number): void {
  const atMs = nextAttemptAtMs(state, reason);
  if (nowMs >= atMs) return;
  throw new PosternError('refresh.unavailable', 'The last refresh failed; the next attempt is not due yet.', {
    details: { retry_after_s: Math.ceil((atMs - nowMs) / 1000) },
  });
}

function isSettled(command: StartRefresh, credential: Credential): boolean {
  if (command.credentialVersion !== undefined) return command.credentialVersion !== credential.version;
  const endsAtMs = credential.accessTokenExpiresAtMs;
  return command.reason === 'expired' && (endsAtMs === null || endsAtMs - command.nowMs > limits.refreshLeadMs);
}

/**
 * Claims the right to spend this connection's refresh token, before it is spent.
 *
 * Two workers spending one refresh token look like theft to a provider with reuse detection, which then revokes the
 * whole family; so the claim is an event, and the log's conflict check picks the one winner.
 *
 * @returns no events while a claim stands, even one whose time is over (`interruptRefresh` ends it), and when the
 *   wanting token was replaced already. `ReauthorizationRequired` instead of a claim when the access token has ended
 *   and there is no refresh token. So look at `state.claim` for one's own claim id.
 * @throws {PosternError} `connection.*` when it may not be used; `refresh.not_possible` without a refresh token;
 *   `refresh.unavailable` before the next attempt is due
 * @source RFC 6749 §6, RFC 9700 §4.14.2
 */
export function startRefresh(command: StartRefresh, state: Connection): ConnectionEvent[] {
  const credential = requireUsable(state);
  if (state.claim !== null || isSettled(command, credential)) return [];
  if (!canRefresh(credential)) {
    if (hasEnded(credential, command.nowMs)) return [missingRefreshToken()];
    throw new PosternError('refresh.not_possible', 'The provider gave no refresh token.');
  }
  requireAttemptAllowed(state, command.reason, command.nowMs);
  return [
    connectionEvent('RefreshStarted', {
      claimId: command.claimId,
      credentialVersion: credential.version,
      claimExpiresAtMs: command.nowMs + command.claimTimeoutMs,
      reason: command.reason,
    }),
  ];
}

function missingRefreshToken(): ConnectionEvent {
  return connectionEvent('ReauthorizationRequired', { cause: 'refresh_token_missing', evidence: null });
}

/**
 * Records that only the end user can help, where no refresh could find it out.
 *
 * @returns no events when that is known, when the finding is about a version that is no longer current (it proves
 *   nothing), while a claim stands (its outcome will tell), for `refresh_token_missing` while the access token lives
 *   or a refresh token is there, and for a revoked or deleted connection.
 * @throws {PosternError} `connection.not_found`
 */
export function requireReauthorization(command: RequireReauthorization, state: Connection): ConnectionEvent[] {
  requireExisting(state);
  const { authorization, credential, claim } = state;
  if (authorization !== 'authorized' || claim !== null || credential?.version !== command.credentialVersion) return [];
  if (command.cause === 'refresh_token_missing') {
    return !canRefresh(credential) && hasEnded(credential, command.nowMs) ? [missingRefreshToken()] : [];
  }
  const evidence = command.evidence === null ? null : providerWords(command.evidence);
  return [connectionEvent('ReauthorizationRequired', { cause: command.cause, evidence })];
}
