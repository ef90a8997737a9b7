import { PosternError, type ConnectionEvent } from '@postern/contracts';

import { requireSameConnection, type StartEstablishment } from './establish.ts';
import { connectionEvent, type DataOf } from './events.ts';
import { requireHere } from './guards.ts';
import type { Connection } from './state.ts';

/** One that another broker held until now; its tokens are here already, and nobody is asked for any. */
export interface StartImport extends Omit<DataOf<'EstablishmentStarted'>, 'grant' | 'purpose' | 'delegation'> {
  readonly nowMs: number;
}

/**
 * Records that the tokens of a connection are about to be stored, of which it is not decided yet whether they count.
 *
 * It stands where a session stands when its code is spent, and is completed by the same event: for all connections of an
 * import at once, or for none.
 *
 * @returns no events when this very one is open, and where the connection was imported before, whatever became of it since
 * @throws {PosternError} `connection.establish_key_used` where the id stands for another connection,
 *   `connection.not_found` for another platform's, `connection.deleted`, `session.expired`
 */
export function startImport(command: StartImport, state: Connection): ConnectionEvent[] {
  requireHere(state);
  const { nowMs, ...data } = command;
  const establishment: StartEstablishment = { ...data, grant: 'imported', purpose: 'connect', nowMs };
  if (state.authorization !== 'none') requireSameConnection(establishment, state);
  if (state.credential !== null) {
    if (state.registrationId === command.registrationId) return [];
    throw new PosternError('connection.establish_key_used', 'It stands for a connection of another registration.');
  }
  if (state.session?.sessionId === command.sessionId) return [];
  if (command.expiresAtMs <= nowMs) {
    throw new PosternError('session.expired', 'The time for it would have been over before it began.');
  }
  return [connectionEvent('EstablishmentStarted', { ...data, grant: 'imported', purpose: 'connect' })];
}
