import type { PlannedDue } from './plan-refresh.ts';
import { scheduleLimits } from './schedule-limits.ts';
import type { Standing } from './schedules.ts';

/**
 * What is wrong with what stands for a connection: nothing would wake anybody (`missing`); it would, at another time
 * or for another version (`moved`); it would, though nothing is to be done (`stray`); it should have long ago
 * (`overdue`).
 */
export type ScheduleFault = 'missing' | 'moved' | 'stray' | 'overdue';

/** A due message that stands is as good as any schedule: its worker looks at the newest state. */
export function faultOf(
  plan: PlannedDue | undefined,
  { schedule, dueStands }: Standing,
  nowMs: number,
): ScheduleFault | undefined {
  if (plan === undefined) return schedule === null ? undefined : 'stray';
  if (dueStands) return undefined;
  if (schedule === null) return 'missing';
  if (schedule.dueAtMs !== plan.atMs || schedule.credentialVersion !== plan.credentialVersion) return 'moved';
  return nowMs - plan.atMs > scheduleLimits.lateAfterMs ? 'overdue' : undefined;
}
