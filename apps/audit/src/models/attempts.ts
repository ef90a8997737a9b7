import type { HealthFailureKind } from '@postern/contracts';

import { hourMs } from './access-model.ts';

/** How refreshing went in one hour: how often well, and how often not, by kind. */
export interface AttemptsOfHour {
  readonly hourMs: number;
  readonly ok: number;
  readonly failed: Readonly<Partial<Record<AttemptFailure, number>>>;
}

export type AttemptFailure = HealthFailureKind | 'interrupted' | 'grant_died';

/** A row keeps no more of them: it is rewritten with each attempt. */
export const attemptHoursMax = 24;

/** Adds an attempt; what is older than a day, by the log's own time, is forgotten. */
export function withAttempt(
  hours: readonly AttemptsOfHour[],
  { atMs, failure }: { readonly atMs: number; readonly failure: AttemptFailure | null },
): AttemptsOfHour[] {
  const hour = Math.floor(atMs / hourMs) * hourMs;
  const kept = hours.filter((one) => one.hourMs > hour - attemptHoursMax * hourMs);
  const now = kept.find((one) => one.hourMs === hour) ?? { hourMs: hour, ok: 0, failed: {} };
  const counted =
    failure === null
      ? { ...now, ok: now.ok + 1 }
      : { ...now, failed: { ...now.failed, [failure]: (now.failed[failure] ?? 0) + 1 } };
  return [...kept.filter((one) => one !== now), counted];
}

/** As it stands in a row. */
export function attemptsIn(text: unknown): AttemptsOfHour[] {
  return typeof text === 'string' && text !== '' ? (JSON.parse(text) as AttemptsOfHour[]) : [];
}
