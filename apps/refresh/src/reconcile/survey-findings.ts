import { timestampOf, type RefreshStatus } from '@postern/contracts';
import type { Connection } from '@postern/domain';

import type { PlannedDue } from '../schedule/plan-refresh.ts';
import { scheduleLimits } from '../schedule/schedule-limits.ts';

interface Failing {
  connections: number;
  sinceMs: number;
  nextAttemptAtMs: number;
  readonly reasons: Map<string, number>;
}

/** What one survey counted. */
export class SurveyFindings {
  readonly #nowMs: number;
  readonly #failing = new Map<string, Failing>();
  #nextDueAtMs = Infinity;
  connections = 0;
  scheduled = 0;
  due = 0;
  late = 0;
  unscheduled = 0;

  /** @param nowMs the time to which `due` and `late` refer. */
  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  add(state: Connection, plan: PlannedDue | undefined, { fits }: { readonly fits: boolean }): void {
    this.connections += 1;
    if (plan === undefined) return;
    this.scheduled += 1;
    this.#nextDueAtMs = Math.min(this.#nextDueAtMs, plan.atMs);
    if (plan.atMs <= this.#nowMs) this.due += 1;
    if (plan.atMs <= this.#nowMs - scheduleLimits.lateAfterMs) this.late += 1;
    if (!fits) this.unscheduled += 1;
    if (state.health.status === 'degraded') this.#addFailing(state);
  }

  /** As `refresh status` tells it. */
  told(): Pick<
    RefreshStatus,
    'connections' | 'scheduled' | 'next_due_at' | 'due' | 'late' | 'unscheduled' | 'failing'
  > {
    const { connections, scheduled, due, late, unscheduled } = this;
    const failing = [...this.#failing]
      .map(([provider, one]) => ({
        provider,
        connections: one.connections,
        since: timeOrNull(one.sinceMs),
        next_attempt_at: timeOrNull(one.nextAttemptAtMs),
        reasons: [...one.reasons].map(([reason, count]) => ({ reason, connections: count })).toSorted(mostFirst),
      }))
      .toSorted(mostFirst);
    return { connections, scheduled, next_due_at: timeOrNull(this.#nextDueAtMs), due, late, unscheduled, failing };
  }

  #addFailing({ providerId, health }: Connection): void {
    const known = this.#failing.get(providerId);
    const one = known ?? { connections: 0, sinceMs: Infinity, nextAttemptAtMs: Infinity, reasons: new Map() };
    this.#failing.set(providerId, one);
    const reason = health.reason ?? 'unknown';
    one.connections += 1;
    one.sinceMs = Math.min(one.sinceMs, health.failingSinceMs ?? Infinity);
    one.nextAttemptAtMs = Math.min(one.nextAttemptAtMs, health.nextAttemptAtMs ?? Infinity);
    one.reasons.set(reason, (one.reasons.get(reason) ?? 0) + 1);
  }
}

const mostFirst = (a: { readonly connections: number }, b: { readonly connections: number }) =>
  b.connections - a.connections;

function timeOrNull(ms: number): string | null {
  return Number.isFinite(ms) ? timestampOf(Math.min(ms, Date.parse('9999-12-31T23:59:59.999Z'))) : null;
}
