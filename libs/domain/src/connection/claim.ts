import { PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent } from './events.ts';
import { isRenewable } from './grants.ts';
import { requireHere } from './guards.ts';
import { servedUntilMs } from './refresh-plan.ts';
import { startRefresh, type StartRefresh } from './refresh.ts';
import type { Claim, Connection } from './state.ts';

export interface ReleaseRefreshToken {
  readonly claimId: string;
  readonly nowMs: number;
}

export interface InterruptRefresh {
  readonly claimId: string;
  readonly nowMs: number;
  /**
   * The caller knows by more than the wall clock that the claim is over: it has watched it for longer than its time by
   * its own monotonic clock, or is its worker and gives up.
   */
  readonly claimSeenOver?: boolean;
  /** When the refresh token ends if nobody uses it; null or absent where it does not. */
  readonly restEndsAtMs?: number | null;
}

/** Does a worker hold the right to spend the refresh token at this time? */
export function isClaimLive(state: Connection, nowMs: number): boolean {
  return liveClaim(state, nowMs) !== null;
}

/**
 * The claims that had the current refresh token, and of which nobody knows what they bought: ask the vault before it is
 * used again, and when that is refused.
 */
export function interruptedClaims({ interrupted, credential }: Connection): readonly string[] {
  return interrupted?.credentialVersion === credential?.version ? (interrupted?.claimIds ?? []) : [];
}

function liveClaim(state: Connection, nowMs: number): Claim | null {
  const { claim, credential, authorization } = state;
  if (claim === null || authorization !== 'authorized' || claim.credentialVersion !== credential?.version) return null;
  return nowMs < claim.expiresAtMs ? claim : null;
}

/**
 * Lets the vault give the refresh token to the claim's worker. Appending this is the fence: whoever ends the claim
 * writes to the same subject, so either the release or the end is first, and the other is refused.
 *
 * @returns no events when it was released to this claim before: the worker may not have heard the answer.
 * @throws {PosternError} `refresh.claim_lost` unless the claim is live and its credential version is current
 * @source RFC 9700 §4.14.2
 */
export function releaseRefreshToken(command: ReleaseRefreshToken, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const claim = liveClaim(state, command.nowMs);
  if (claim === null || claim.claimId !== command.claimId) {
    throw new PosternError('refresh.claim_lost', 'The claim is not live.');
  }
  return claim.released ? [] : [connectionEvent('RefreshTokenReleased', { claimId: claim.claimId })];
}

/**
 * Claims a planned refresh and releases its token to the claim, as one decision: the vault's, where the worker has everything
 * else at hand that a call needs. Appending this is claim and fence in one.
 *
 * @throws {PosternError} `refresh.claim_lost` when there is nothing to claim, or a claim stands, be it this one; what
 *   {@link startRefresh} throws
 * @source RFC 9700 §4.14.2
 */
export function claimReleased(command: Omit<StartRefresh, 'reason'>, state: Connection): ConnectionEvent[] {
  const events = startRefresh({ ...command, reason: 'scheduled' }, state);
  if (events[0]?.type !== 'RefreshStarted') throw new PosternError('refresh.claim_lost', 'There is nothing to claim.');
  return [...events, connectionEvent('RefreshTokenReleased', { claimId: command.claimId })];
}

/**
 * Ends a claim that brought no outcome: the only way in which another worker gets the next claim.
 *
 * Never released: certainly nothing was sent, so it simply failed and may be retried at once. Released: whether the
 * provider processed it is undecidable. The living access token is then served to its end, because a second use of
 * the refresh token may make a provider with reuse detection revoke everything; after that, one retry, which comes earlier
 * where the refresh token would end unused before. When the retry
 * is interrupted too, only the end user can help. Where no refresh token is spent, a lost answer costs nothing: it may be
 * asked again at once. Ask the vault first whether it holds what the claim bought.
 *
 * @returns no events while the claim is live, or when it has ended already.
 * @source RFC 9700 §4.14.2
 */
export function interruptRefresh(command: InterruptRefresh, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { claim } = state;
  if (claim === null || claim.claimId !== command.claimId) return [];
  if (command.nowMs < claim.expiresAtMs && command.claimSeenOver !== true) return [];
  const { claimId, credentialVersion, released } = claim;
  if (!released) {
    const data = { claimId, error: 'claim_expired_unreleased', httpStatus: null, nextAttemptAtMs: command.nowMs };
    return [connectionEvent('RefreshFailed', data)];
  }
  if (state.credential !== null && isRenewable(state.credential)) {
    const data = { claimId, error: 'claim_expired_unanswered', httpStatus: null, nextAttemptAtMs: command.nowMs };
    return [connectionEvent('RefreshFailed', data)];
  }
  const events = [connectionEvent('RefreshInterrupted', { claimId, credentialVersion, ...earlyRetry(command, state) })];
  if (state.interrupted?.credentialVersion === credentialVersion) {
    const data = { cause: 'refresh_interrupted', evidence: null } as const;
    events.push(connectionEvent('ReauthorizationRequired', data));
  }
  return events;
}

/** The retry waits for the access token's end, unless the refresh token would not live to see it. */
function earlyRetry({ nowMs, restEndsAtMs = null }: InterruptRefresh, { credential }: Connection) {
  if (credential === null || credential.accessTokenExpiresAtMs === null) return {};
  const retryAtMs = servedUntilMs(credential, { nowMs, restEndsAtMs });
  return retryAtMs < credential.accessTokenExpiresAtMs ? { retryAtMs } : {};
}
