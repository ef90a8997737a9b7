import type { ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { requireNotDeleted } from './guards.ts';
import type { Connection } from './state.ts';

export type SuspendConnection = DataOf<'ConnectionSuspended'>;
export type ResumeConnection = DataOf<'ConnectionResumed'>;

/**
 * Refuses leases and new claims until the connection is resumed. The authorization stays, a claim that stands may
 * still bring its outcome, and neither a revocation nor a new authorization ends a suspension.
 *
 * @returns no events when it is suspended already.
 * @throws {PosternError} `connection.not_found`, `connection.deleted`
 */
export function suspendConnection({ reason }: SuspendConnection, state: Connection): ConnectionEvent[] {
  requireNotDeleted(state);
  return state.suspended ? [] : [connectionEvent('ConnectionSuspended', { reason })];
}

/**
 * Ends a suspension, and nothing else: a connection that was revoked meanwhile stays revoked.
 *
 * @returns no events when it is not suspended.
 * @throws {PosternError} `connection.not_found`, `connection.deleted`
 */
export function resumeConnection({ reason }: ResumeConnection, state: Connection): ConnectionEvent[] {
  requireNotDeleted(state);
  return state.suspended ? [connectionEvent('ConnectionResumed', { reason })] : [];
}
