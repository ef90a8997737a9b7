import { z } from 'zod';

import { TimeMs } from './wire.ts';

/**
 * What stands on `refresh.due.<tenant>.<connection>`: this credential version is to be refreshed. Published by
 * `refresh` alone, at once or as the schedule on `refresh.schedule.<tenant>.<connection>` that becomes it, and worked
 * off by `refresh` alone; the subject names the connection.
 */
export const RefreshDue = z.object({
  /** `expired` and `scheduled` respect a back-off; `requested` overrides one, once. */
  reason: z.enum(['expired', 'requested', 'scheduled']),
  /** The version that was found wanting; once another is current there is nothing to do. */
  credential_version: z.number().int().positive(),
  /** The connection's position when this was decided, so that a request is not granted twice. */
  position: z.number().int().nonnegative(),
  /** The planned time; only where it was planned. */
  due_at_ms: TimeMs.optional(),
});
export type RefreshDue = z.infer<typeof RefreshDue>;
