import { CarriedConnection, PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { requireExisting } from './guards.ts';
import type { Connection } from './state.ts';

export type EpochClosing = DataOf<'EpochClosed'>;
export type EpochOpening = DataOf<'EpochOpened'>;

export interface CloseEpoch {
  /** In which the connection stands. */
  readonly epoch: number;
  /** The open one, in which it goes on. */
  readonly nextEpoch: number;
}

/** What the message that closed a connection's epoch holds; whoever finds it can open the next, also after a crash. */
export interface ClosedEpoch {
  readonly closing: EpochClosing;
  readonly revision: number;
  /** SHA-256 of the message, as the next commit of the aggregate would carry it. */
  readonly hash: string;
  /** The state it carries. */
  readonly state: Connection;
}

/**
 * Ends a connection's life in one epoch: nothing is decided on this subject any more, in whatever state it is, and what
 * is in flight (a session, a claim, a debt to the provider) goes on behind the opening.
 *
 * @returns no events when it is closed already: open the epoch that its closing names.
 * @throws {PosternError} `connection.not_found`; `request.malformed` unless the next epoch is later
 */
export function closeEpoch({ epoch, nextEpoch }: CloseEpoch, state: Connection): ConnectionEvent[] {
  if (state.authorization === 'moved') return [];
  requireExisting(state);
  if (nextEpoch <= epoch) throw new PosternError('request.malformed', 'The next epoch must be later than this one.');
  const authorization = state.authorization as EpochClosing['authorization'];
  return [connectionEvent('EpochClosed', { epoch, nextEpoch, authorization })];
}

/**
 * Goes on in the epoch that the closing names, with exactly the state that was closed.
 *
 * @param closed what the closing message holds, checked as every message is
 * @param state of the connection's subject in the new epoch
 * @returns no events when something stands there: another mover was first.
 * @throws {PosternError} `log.message_damaged` when the closed state is none, or its message did not close it
 */
export function openEpoch(closed: ClosedEpoch, state: Connection): ConnectionEvent[] {
  if (state.authorization !== 'none') return [];
  const { closing, revision, hash } = closed;
  return [
    connectionEvent('EpochOpened', {
      epoch: closing.nextEpoch,
      previousEpoch: closing.epoch,
      previousRevision: revision,
      previousHash: hash,
      state: carriedFrom(closed),
    }),
  ];
}

/**
 * Why an opening is not the one that follows this closing; null when it is.
 *
 * Several apps may write openings, and an opening is believed as a fold's beginning: so whoever loads the first message
 * of an epoch, and whoever verifies the log, asks this before believing it.
 */
export function epochFaultOf({ closed, opening }: { closed: ClosedEpoch; opening: EpochOpening }): string | null {
  const { closing, revision, hash } = closed;
  if (closed.state.authorization !== 'moved') return 'the epoch before it was not closed';
  if (opening.epoch !== closing.nextEpoch || opening.previousEpoch !== closing.epoch) return 'it names other epochs';
  if (opening.previousRevision !== revision || opening.previousHash !== hash) return 'it follows another message';
  const same =
    JSON.stringify(opening.state) === JSON.stringify({ ...closed.state, authorization: closing.authorization });
  return same ? null : 'the state it carries is not the one that was closed';
}

function carriedFrom({ state, closing }: ClosedEpoch): CarriedConnection {
  const carried = CarriedConnection.safeParse({ ...state, authorization: closing.authorization });
  if (carried.success && state.authorization === 'moved') return carried.data;
  throw new PosternError('log.message_damaged', 'There is no closed state to go on from.', { cause: carried.error });
}
