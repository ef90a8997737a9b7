import { z } from 'zod';

import { Timestamp } from './wire.ts';

const Count = z.number().int().nonnegative();

/** Connections of one provider whose last refresh failed. */
const FailingProvider = z.object({
  provider: z.string(),
  connections: Count,
  since: Timestamp.nullable(),
  /** The soonest of their next attempts. */
  next_attempt_at: Timestamp.nullable(),
  /** The provider's words or ours, the most frequent first. */
  reasons: z.array(z.object({ reason: z.string(), connections: Count })),
});

/** How refreshing goes, as one `refresh` process found it when it compared the log with the schedules. */
export const RefreshStatus = z.object({
  instance: z.string(),
  /** Null before the first survey has ended; everything below is of that time. */
  surveyed_at: Timestamp.nullable(),
  survey_ms: Count,
  connections: Count,
  /** A due time is planned for them. */
  scheduled: Count,
  next_due_at: Timestamp.nullable(),
  /** Their time has come. */
  due: Count,
  /** It came a while ago. */
  late: Count,
  /** Neither a fitting schedule nor a due message stood for them. */
  unscheduled: Count,
  failing: z.array(FailingProvider),
  /** What this process has mended since it started. */
  mended: z.object({ missing: Count, moved: Count, stray: Count, overdue: Count }),
});
export type RefreshStatus = z.infer<typeof RefreshStatus>;
