import { PosternError, type ConnectionEvent } from '@postern/contracts';

import { connectionEvent, type DataOf } from './events.ts';
import { requireExisting } from './guards.ts';
import type { Connection } from './state.ts';

export type RequestDeletion = DataOf<'DeletionRequested'>;
export type ShredKey = DataOf<'ConnectionKeyShredded'>;

/**
 * Refuses the connection for ever, at once; the provider is told and the key shredded afterwards.
 *
 * @returns no events when it is deleted already.
 * @throws {PosternError} `connection.not_found`
 */
export function requestDeletion({ reason }: RequestDeletion, state: Connection): ConnectionEvent[] {
  requireExisting(state);
  return state.authorization === 'deleted' ? [] : [connectionEvent('DeletionRequested', { reason })];
}

/**
 * Records that the connection's data key is gone: nothing sealed under it can be opened again, and the chain of
 * events still verifies.
 *
 * @returns no events when it is shredded already.
 * @throws {PosternError} `connection.not_found`; `connection.key_in_use` unless the connection was deleted and the
 *   provider was told, finally could not be, or need not be: the tokens are needed to tell it
 */
export function shredKey(_command: ShredKey, state: Connection): ConnectionEvent[] {
  requireExisting(state);
  if (state.authorization !== 'deleted') {
    throw new PosternError('connection.key_in_use', 'The connection was not deleted.');
  }
  if (state.upstreamRevocation === 'pending') {
    throw new PosternError('connection.key_in_use', 'The provider has not been told yet.');
  }
  return state.keyShredded ? [] : [connectionEvent('ConnectionKeyShredded', {})];
}
