import { timestampOf, unattendedGrants, type ConnectionHealth } from '@postern/contracts';
import { canRefresh } from '@postern/domain';

import { hourMs } from '../models/access-model.ts';
import type { AttemptFailure } from '../models/attempts.ts';
import type { ClockRules, HealthFacts, UseFacts } from './health-facts.ts';

const windowsHours = [1, 24] as const;
/** So long before its end an authorization is called expiring. */
export const expiringMs = 7 * 24 * hourMs;
/** A planned refresh may take so long before it is late. */
export const lateMsMin = 60_000;
/** The last time that RFC 3339 can write; providers have named later ends. */
const timestampMsMax = Date.parse('9999-12-31T23:59:59.999Z');

type Verdict = Pick<ConnectionHealth, 'state' | 'reason' | 'remedy'> & { readonly sinceMs: number | null };
type Clock = ConnectionHealth['clocks'][number];

const told = (ms: number) => timestampOf(Math.min(ms, timestampMsMax));
const toldOrNull = (ms: number | null) => (ms === null ? null : told(ms));

/** How a connection fares at a time, from what is known of it. */
export function healthOf(
  facts: HealthFacts,
  { use, rules, nowMs }: { readonly use: UseFacts; readonly rules: ClockRules; readonly nowMs: number },
): ConnectionHealth {
  const clocks = clocksOf(facts, rules);
  const { sinceMs, ...verdict } = verdictOf(facts, { clocks, nowMs });
  return {
    connection_id: facts.connectionId,
    platform_id: facts.platformId,
    provider: facts.providerId,
    registration_id: facts.registrationId,
    ...verdict,
    since: toldOrNull(sinceMs),
    last_success_at: toldOrNull(facts.lastSuccessAtMs),
    last_used_at: toldOrNull(use.lastUsedAtMs),
    data_age_s: dataAgeS(facts, nowMs),
    refresh_lag_s: Math.floor(lagMs(facts, nowMs) / 1_000),
    windows: windowsHours.map((hours) => windowOf(facts, hours, nowMs)),
    refused_leases: use.refused,
    scope_drift: facts.driftedAtMs === null ? null : { at: told(facts.driftedAtMs), lost: [...facts.lostScopes] },
    missing_scopes: [...facts.missingScopes],
    clocks: clocks.map(({ clock, endsAtMs }) => ({ clock, ends_at: told(endsAtMs) })),
  };
}

/** The first of these that holds: what hinders most comes first. */
function verdictOf(
  facts: HealthFacts,
  now: { readonly clocks: readonly RunningClock[]; readonly nowMs: number },
): Verdict {
  const verdict = endedVerdict(facts) ?? refreshVerdict(facts, now.nowMs) ?? livingVerdict(facts, now);
  return isUnattended(facts) && verdict.remedy === 'end_user' ? { ...verdict, remedy: 'platform' } : verdict;
}

/** Is there nobody who could authorize it, and is it established anew instead? */
function isUnattended({ grant }: HealthFacts): boolean {
  return grant !== undefined && unattendedGrants.includes(grant);
}

/** What must be done, in words, where only a new authorization helps. */
function authorizedAnew(facts: HealthFacts): string {
  return isUnattended(facts) ? 'establish it anew (POST /v1/connections)' : 'its user must authorize again';
}

function endedVerdict(facts: HealthFacts): Verdict | undefined {
  const { authorization, suspended, cause, stateSinceMs: sinceMs } = facts;
  const because = cause === null ? '' : ` (${cause})`;
  switch (authorization) {
    case 'deleted':
      return { state: 'deleted', reason: 'It was deleted.', remedy: 'nobody', sinceMs };
    case 'revoked':
      return {
        state: 'revoked',
        reason: `It was revoked${because}${isUnattended(facts) ? `: ${authorizedAnew(facts)}` : ''}.`,
        remedy: 'end_user',
        sinceMs,
      };
    default:
      break;
  }
  if (suspended) return { state: 'suspended', reason: 'It is suspended.', remedy: 'platform', sinceMs };
  if (authorization === 'reauthorization_required') {
    const reason = `Its grant is over${because}: ${authorizedAnew(facts)}.`;
    return { state: authorization, reason, remedy: 'end_user', sinceMs };
  }
  if (authorization === 'authorized') return undefined;
  const reason = isUnattended(facts)
    ? `Its provider has given no token for it yet: ${authorizedAnew(facts)}.`
    : 'Its user has not authorized it yet.';
  return { state: 'pending', reason, remedy: 'end_user', sinceMs };
}

function refreshVerdict(facts: HealthFacts, nowMs: number): Verdict | undefined {
  const { accessEndsAtMs: endsAtMs, failingSinceMs } = facts;
  const hasEnded = endsAtMs !== null && endsAtMs <= nowMs;
  if (hasEnded && !canRefresh(facts)) {
    const reason = `Its token ended at ${told(endsAtMs)} and nothing can renew it: ${authorizedAnew(facts)}.`;
    return { state: 'reauthorization_required', reason, remedy: 'end_user', sinceMs: endsAtMs };
  }
  if (failingSinceMs !== null) {
    const { words, remedy } = troubleOf(facts);
    const since = `Refreshing fails since ${told(failingSinceMs)}: ${words} (${facts.failingError ?? 'no word'}).`;
    if (hasEnded) {
      const reason = `${since} Its token ended at ${told(endsAtMs)}: there is none to lease.`;
      return { state: 'unusable', reason, remedy, sinceMs: endsAtMs };
    }
    const until = endsAtMs === null ? '' : ` until ${told(endsAtMs)}`;
    return { state: 'failing', reason: `${since} Its token is leased${until}.`, remedy, sinceMs: failingSinceMs };
  }
  if (endsAtMs === null || lagMs(facts, nowMs) < lateMsMin) return undefined;
  const reason = `Its token ended at ${told(endsAtMs)} and nobody has refreshed it: see postern refresh status.`;
  return { state: 'late', reason, remedy: 'administrator', sinceMs: endsAtMs };
}

function livingVerdict(
  facts: HealthFacts,
  { clocks, nowMs }: { readonly clocks: readonly RunningClock[]; readonly nowMs: number },
): Verdict {
  const end = clocks.find(({ clock }) => clock === 'authorization');
  if (end !== undefined && end.endsAtMs - nowMs < expiringMs) {
    const reason = `Its provider ends the authorization at ${told(end.endsAtMs)}, however often it is refreshed.`;
    return { state: 'expiring', reason, remedy: 'end_user', sinceMs: null };
  }
  const lost = [...new Set([...facts.lostScopes, ...facts.missingScopes])];
  if (lost.length > 0) {
    const reason = `It lives with fewer scopes than are wanted: ${lost.join(' ')}.`;
    return { state: 'narrowed', reason, remedy: 'end_user', sinceMs: facts.driftedAtMs };
  }
  const doubt = ' A signal hints that its grant ended; the provider is being asked.';
  return { state: 'ok', reason: `Nothing fails.${facts.suspected ? doubt : ''}`, remedy: 'nobody', sinceMs: null };
}

interface Trouble {
  readonly words: string;
  readonly remedy: ConnectionHealth['remedy'];
}

const refused: Trouble = { words: 'the provider refuses', remedy: 'provider' };
const troubles: Readonly<Record<AttemptFailure, Trouble>> = {
  unreachable: { words: 'the provider does not answer', remedy: 'provider' },
  provider_error: { words: 'the provider answers with an error of its own', remedy: 'provider' },
  rate_limited: { words: 'the provider limits us', remedy: 'time' },
  refused,
  registration_refused: { words: 'the provider refuses our client registration', remedy: 'administrator' },
  grant_doubted: { words: 'the provider calls one grant after the other dead', remedy: 'administrator' },
  grant_died: refused,
  postern: { words: 'Postern could not ask', remedy: 'administrator' },
  interrupted: { words: 'whoever refreshed it was interrupted', remedy: 'time' },
};

/** Only of a derived connection: it is the platform's to mend those it leans on. */
const leansOnNothing: Trouble = { words: 'what it is derived from cannot be used', remedy: 'platform' };

function troubleOf({ failingKind, failingError }: HealthFacts): Trouble {
  if (failingError === 'connection.delegation_ended') return leansOnNothing;
  return failingKind === null ? refused : troubles[failingKind];
}

interface RunningClock {
  readonly clock: Clock['clock'];
  readonly endsAtMs: number;
}

/** What of it ends by itself, the soonest first. */
function clocksOf(facts: HealthFacts, { idleTtlS, absoluteTtlS }: ClockRules): RunningClock[] {
  if (facts.authorization !== 'authorized') return [];
  const { accessEndsAtMs, authorizationEndsAtMs, authorizedAtMs, boughtAtMs, hasRefreshToken } = facts;
  const absolute = authorizedAtMs === null || absoluteTtlS === null ? null : authorizedAtMs + absoluteTtlS * 1_000;
  const idle = boughtAtMs === null || idleTtlS === null || !hasRefreshToken ? null : boughtAtMs + idleTtlS * 1_000;
  const clocks: [Clock['clock'], number | null][] = [
    ['access_token', accessEndsAtMs],
    ['refresh_token_at_rest', idle],
    ['authorization', authorizationEndsAtMs ?? absolute],
  ];
  return clocks
    .flatMap(([clock, endsAtMs]) => (endsAtMs === null ? [] : [{ clock, endsAtMs }]))
    .toSorted((one, other) => one.endsAtMs - other.endsAtMs);
}

function isLeasable({ authorization, suspended, accessEndsAtMs }: HealthFacts, nowMs: number): boolean {
  return authorization === 'authorized' && !suspended && (accessEndsAtMs === null || accessEndsAtMs > nowMs);
}

function dataAgeS(facts: HealthFacts, nowMs: number): number | null {
  if (facts.boughtAtMs === null) return null;
  if (isLeasable(facts, nowMs)) return 0;
  const stopped = facts.authorization === 'authorized' && !facts.suspended ? Infinity : facts.stateSinceMs;
  return Math.max(0, Math.floor((nowMs - Math.min(stopped, facts.accessEndsAtMs ?? Infinity)) / 1_000));
}

/** Since its next attempt was due, or else its token has ended, and it was not refreshed. */
function lagMs(facts: HealthFacts, nowMs: number): number {
  if (facts.authorization !== 'authorized' || facts.suspended || !canRefresh(facts)) return 0;
  const dueAtMs = facts.nextAttemptAtMs ?? facts.accessEndsAtMs;
  return dueAtMs === null ? 0 : Math.max(0, nowMs - dueAtMs);
}

/** Whole hours: the one of now, and so many before it. */
function windowOf({ attempts }: HealthFacts, hours: number, nowMs: number): ConnectionHealth['windows'][number] {
  const since = Math.floor(nowMs / hourMs) * hourMs - hours * hourMs;
  const errors: Record<string, number> = {};
  let [ok, failed] = [0, 0];
  for (const hour of attempts.filter((one) => one.hourMs >= since)) {
    ok += hour.ok;
    for (const [kind, count] of Object.entries(hour.failed)) {
      errors[kind] = (errors[kind] ?? 0) + count;
      failed += count;
    }
  }
  const count = ok + failed;
  return { hours, attempts: count, error_rate: count === 0 ? null : failed / count, errors };
}
