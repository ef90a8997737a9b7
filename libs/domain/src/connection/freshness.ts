import { timestampOf, type Freshness } from '@postern/contracts';

import { canRefresh } from './grants.ts';
import { hasEnded } from './refresh.ts';
import type { Connection } from './state.ts';

/** The one word people see, of four axes: what hinders most comes first. */
export function labelOf(state: Connection): Freshness['health'] {
  const { authorization } = state;
  if (authorization === 'deleted' || authorization === 'revoked') return authorization;
  if (state.suspended) return 'suspended';
  if (authorization === 'reauthorization_required') return authorization;
  if (authorization === 'authorized') return state.health.status;
  return 'pending';
}

function isSpent({ authorization, credential, suspended }: Connection, nowMs: number): boolean {
  if (authorization !== 'authorized' || suspended || credential === null) return false;
  return !canRefresh(credential) && hasEnded(credential, nowMs);
}

function reasonOf(state: Connection, health: Freshness['health']): string | null {
  if (health === 'revoked') return state.revocationCause;
  if (health === 'reauthorization_required') return state.evidence ?? state.reauthorizationCause;
  return health === 'degraded' ? state.health.reason : null;
}

/** The last time that RFC 3339 can write; providers have named later ends. */
const timestampMsMax = Date.parse('9999-12-31T23:59:59.999Z');

function timestampOrNull(ms: number | null | undefined): string | null {
  return ms === null || ms === undefined ? null : timestampOf(Math.min(ms, timestampMsMax));
}

/**
 * How old the ground is that an answer about this connection stands on.
 *
 * A token that has ended and cannot be refreshed counts as `reauthorization_required` even before the log says so.
 * `last_used_ok_at` is null until calls are seen (the proxy sees them).
 *
 * @param stale whether the asker's view of the log may be behind
 */
export function freshnessOf(
  state: Connection,
  { nowMs, stale = false }: { nowMs: number; stale?: boolean | undefined },
): Freshness {
  const spent = isSpent(state, nowMs);
  const health = spent ? 'reauthorization_required' : labelOf(state);
  return {
    health,
    credential_expires_at: timestampOrNull(state.credential?.accessTokenExpiresAtMs),
    last_refreshed_at: timestampOrNull(state.credential?.refreshedAtMs),
    last_used_ok_at: null,
    refresh_failing_since: timestampOrNull(state.health.failingSinceMs),
    next_attempt_at: health === 'degraded' ? timestampOrNull(state.health.nextAttemptAtMs) : null,
    stale,
    reason: spent ? 'refresh_token_missing' : reasonOf(state, health),
  };
}
