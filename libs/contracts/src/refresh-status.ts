import { z } from 'zod';

import { RegistrationId } from './ids.ts';
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

/** A client registration whose provider is left alone for a while. */
const OpenBreaker = z.object({
  provider: z.string(),
  registration_id: RegistrationId,
  /** Null while the one trial call is under way. */
  next_trial_at: Timestamp.nullable(),
  failures_in_a_row: Count,
  /** The provider's word for the last failure, or ours. */
  last_error: z.string().nullable(),
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
  /** Circuit breakers of this process that are not closed, as of now. */
  open_breakers: z.array(OpenBreaker),
  /** What this process has mended since it started. */
  mended: z.object({ missing: Count, moved: Count, stray: Count, overdue: Count }),
});
export type RefreshStatus = z.infer<typeof RefreshStatus>;
