import { z } from 'zod';

import { Timestamp } from './wire.ts';

/**
 * How old the ground is that an answer about a connection stands on; every such answer carries it, so that an agent
 * can tell its model.
 */
export const Freshness = z.object({
  health: z.enum(['ok', 'degraded', 'reauthorization_required', 'revoked', 'suspended', 'deleted', 'pending']),
  credential_expires_at: Timestamp.nullable(),
  last_refreshed_at: Timestamp.nullable(),
  last_used_ok_at: Timestamp.nullable(),
  refresh_failing_since: Timestamp.nullable(),
  /** When a failing refresh is tried next. */
  next_attempt_at: Timestamp.nullable(),
  /** True when the answer may be older than the newest state. */
  stale: z.boolean(),
  reason: z.string().nullable(),
});
export type Freshness = z.infer<typeof Freshness>;
