import { CarriedConnection, PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent } from './events.ts';
import { requireExisting } from './guards.ts';
import type { Connection } from './state.ts';

export interface MoveToEpoch {
  /** In which the connection stands. */
  readonly epoch: number;
  /** The open one, in which it goes on. */
  readonly nextEpoch: number;
  /** Of the connection's last commit in the epoch that closes. */
  readonly revision: number;
  /** Of that commit, as the next one carries it. */
  readonly hash: string;
}

/**
 * Moves a connection to another epoch, in whatever state it is: what is in flight (a session, a claim, a debt to the
 * provider) goes on behind the opening, which carries all of it, so that nothing before it is needed any more.
 *
 * Both events are one commit: at no moment is a connection closed and not open.
 *
 * @throws {PosternError} `connection.not_found`; `request.malformed` unless the next epoch is later;
 *   `log.message_damaged` when the state is none that can be carried
 */
export function moveToEpoch({ epoch, nextEpoch, revision, hash }: MoveToEpoch, state: Connection): ConnectionEvent[] {
  requireExisting(state);
  if (nextEpoch <= epoch) throw new PosternError('request.malformed', 'The next epoch must be later than this one.');
  const carried = CarriedConnection.safeParse(state);
  if (!carried.success) {
    throw new PosternError('log.message_damaged', 'There is no state to go on from.', { cause: carried.error });
  }
  const { authorization } = carried.data;
  return [
    connectionEvent('EpochClosed', { epoch, nextEpoch, authorization }),
    connectionEvent('EpochOpened', {
      epoch: nextEpoch,
      previousEpoch: epoch,
      previousRevision: revision,
      previousHash: hash,
      state: carried.data,
    }),
  ];
}
