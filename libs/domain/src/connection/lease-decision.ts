import { limits, PosternError, type ErrorDetails } from '@postern/contracts';

import { requireDelegation, type DelegationChain } from './delegation.ts';
import { freshnessOf } from './freshness.ts';
import { canRefresh, hasReauthorizePage } from './grants.ts';
import { requireExisting, requireUsable } from './guards.ts';
import { reliableUntilMs } from './refresh-plan.ts';
import { hasEnded, nextAttemptAtMs, requireAttemptAllowed } from './refresh.ts';
import type { Connection, Credential } from './state.ts';

export interface LeaseQuestion {
  readonly nowMs: number;
  readonly tenantId: string;
  readonly platformId: string;
  /** Scopes that must be granted: an assertion, never a narrowing. */
  readonly scopes?: readonly string[] | undefined;
  /** What stands behind a derived connection, as it is now; it cannot be answered without. */
  readonly chain?: DelegationChain | undefined;
  /** Nobody is given the token for it: what it is bound to and derived from does not matter then. */
  readonly givesNothing?: boolean | undefined;
  /** How long the access token must still live. */
  readonly minTtlMs?: number | undefined;
  /** Told to a caller whom only the end user can help. */
  readonly reauthorizeUrl?: string | undefined;
}

export type LeaseDecision =
  | {
      readonly kind: 'grant';
      readonly credentialVersion: number;
      /** How long to rely on it; null where the provider names no end. */
      readonly expiresAtMs: number | null;
      readonly grantedScopes: string[];
      /** The token is near its end and may be refreshed: ask for it in the background. */
      readonly refreshSoon: boolean;
    }
  /** The token has ended, or ends too soon: ask `refresh`, naming this version, then decide again. */
  | { readonly kind: 'refresh'; readonly credentialVersion: number };

/**
 * May this platform have the access token now?
 *
 * A valid token is served whatever happens to its refreshing; an ended one never. Where a refresh ends the token of
 * before, a lease ends with the planned refresh. The answer holds for the state it was asked of, so it is asked again
 * before a token leaves.
 *
 * @throws {PosternError} `connection.not_found` also for another tenant's or platform's; `connection.deleted`,
 *   `.revoked`, `.suspended`, `.reauthorization_required`, `.not_authorized`, `.delegation_ended`; `lease.sender_constrained`; `lease.scope_missing` with
 *   `missing_scopes`; `lease.ttl_unavailable` when no token will live that long; `refresh.unavailable` when the token
 *   has ended and the next attempt is not due. All but the first carry the connection's freshness.
 */
export function leaseDecision(state: Connection, question: LeaseQuestion): LeaseDecision {
  requireExisting(state);
  if (state.tenantId !== question.tenantId || state.platformId !== question.platformId) {
    throw new PosternError('connection.not_found', 'There is no such connection.');
  }
  try {
    return decideLease(state, question);
  } catch (error) {
    throw withFreshness(error, state, question);
  }
}

function decideLease(state: Connection, question: LeaseQuestion): LeaseDecision {
  const { nowMs } = question;
  const credential = requireUsable(state);
  if (question.givesNothing !== true) {
    requireUsableByBearer(credential.senderConstrained);
    requireChain(credential, question);
  }
  requireScopes(credential, question.scopes ?? []);
  if (hasEnded(credential, nowMs)) {
    if (state.claim === null) requireAttemptAllowed(state, 'expired', nowMs);
    return { kind: 'refresh', credentialVersion: credential.version };
  }
  const leasedUntilMs = leaseEndsAtMs(state, credential, nowMs);
  if (!livesFor(leasedUntilMs, question.minTtlMs ?? 0, nowMs)) {
    requireLongerPossible(state, credential, question);
    return { kind: 'refresh', credentialVersion: credential.version };
  }
  const nearItsEnd = !livesFor(credential.accessTokenExpiresAtMs, limits.refreshLeadMs, nowMs);
  return {
    kind: 'grant',
    credentialVersion: credential.version,
    expiresAtMs: leasedUntilMs,
    grantedScopes: credential.grantedScopes,
    refreshSoon: nearItsEnd && state.claim === null && mayRefresh(state, credential, nowMs),
  };
}

function livesFor(untilMs: number | null, durationMs: number, nowMs: number): boolean {
  return untilMs === null || untilMs - nowMs >= durationMs;
}

/**
 * To the planned refresh where that ends the token; a moment, while a refresh is due or under way; to the next attempt,
 * after one that failed.
 */
function leaseEndsAtMs({ health, claim }: Connection, credential: Credential, nowMs: number): number | null {
  const { accessTokenExpiresAtMs: endsAtMs, endedByRefresh } = credential;
  const plannedMs = reliableUntilMs(credential);
  if (endsAtMs === null || plannedMs === null || endedByRefresh === undefined) return endsAtMs;
  const retryMs = (health.nextAttemptAtMs ?? 0) + endedByRefresh.graceMs;
  const untilMs = claim === null ? Math.max(plannedMs, retryMs) : nowMs + endedByRefresh.graceMs;
  return Math.min(endsAtMs, Math.max(untilMs, nowMs + limits.refreshLeadMs));
}

function mayRefresh(state: Connection, credential: Credential, nowMs: number): boolean {
  return canRefresh(credential) && nowMs >= nextAttemptAtMs(state, 'expired');
}

/** A refreshed token that lived shorter than this from its beginning will not live longer next time. */
function requireLongerPossible(
  state: Connection,
  credential: Credential,
  { nowMs, minTtlMs = 0 }: LeaseQuestion,
): void {
  const { refreshedAtMs } = credential;
  const tooShortByNature = refreshedAtMs !== null && !livesFor(reliableUntilMs(credential), minTtlMs, refreshedAtMs);
  if (!tooShortByNature && (state.claim !== null || mayRefresh(state, credential, nowMs))) return;
  throw new PosternError('lease.ttl_unavailable', 'The token ends before that, and no longer one can be had now.');
}

/**
 * Whoever leased it would have to prove that he has a key which nobody is given.
 *
 * @param senderConstrained what the log says of the authorization, or the stored token of itself
 * @throws {PosternError} `lease.sender_constrained`
 * @source RFC 9449 §7.1, RFC 8705 §3
 */
export function requireUsableByBearer(senderConstrained: Credential['senderConstrained']): void {
  if (senderConstrained === undefined) return;
  throw new PosternError(
    'lease.sender_constrained',
    `The token is bound to a key that nobody is given (${senderConstrained}).`,
  );
}

function requireChain({ delegation }: Credential, { chain }: LeaseQuestion): void {
  if (delegation === undefined) return;
  if (chain === undefined) throw new Error('nobody looked at what a derived connection leans on');
  requireDelegation(chain);
}

function requireScopes({ grantedScopes }: Credential, wanted: readonly string[]): void {
  const missing = wanted.filter((scope) => !grantedScopes.includes(scope));
  if (missing.length === 0) return;
  throw new PosternError('lease.scope_missing', 'The end user did not grant every scope asked for.', {
    details: { missing_scopes: missing },
  });
}

function withFreshness(error: unknown, state: Connection, question: LeaseQuestion): unknown {
  if (!(error instanceof PosternError)) return error;
  const helpedByEndUser = ['connection.reauthorization_required', 'connection.revoked'].includes(error.code);
  const url = helpedByEndUser && hasReauthorizePage(state) ? question.reauthorizeUrl : undefined;
  const details: ErrorDetails = {
    ...error.details,
    ...(url === undefined ? {} : { reauthorize_url: url }),
    freshness: freshnessOf(state, { nowMs: question.nowMs }),
  };
  return new PosternError(error.code, error.message, { cause: error.cause, details });
}
