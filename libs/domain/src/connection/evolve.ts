import type { ConnectionEvent, ConnectionEventType } from '@postern/contracts';

import type { EventMeta, Evolver } from '../evolver.ts';
import { authorizationEvolvers } from './evolve-authorization.ts';
import { endingEvolvers } from './evolve-ending.ts';
import { epochEvolvers } from './evolve-epoch.ts';
import { refreshEvolvers } from './evolve-refresh.ts';
import type { Evolvers } from './evolvers.ts';
import { noConnection, type Connection } from './state.ts';

const evolvers: Evolvers<ConnectionEventType> = {
  ...authorizationEvolvers,
  ...refreshEvolvers,
  ...endingEvolvers,
  ...epochEvolvers,
};

/** All that may still happen after a deletion: nothing revives a deleted connection, whatever the log holds. */
const afterDeletion: ReadonlySet<string> = new Set<ConnectionEventType>([
  'UpstreamRevocationCompleted',
  'UpstreamRevocationFailed',
  'ConnectionKeyShredded',
  'EpochClosed',
]);

/** How a connection can begin: anew, or with the opening of an epoch where what stood before was dropped. */
const beginnings: ReadonlySet<string> = new Set<ConnectionEventType>([
  'AuthorizationStarted',
  'EstablishmentStarted',
  'EpochOpened',
]);

function concerns(state: Connection, type: string): boolean {
  if (state.authorization === 'none') return beginnings.has(type);
  if (state.authorization === 'moved' || type === 'EpochOpened') {
    return state.authorization === 'moved' && type === 'EpochOpened';
  }
  return state.authorization !== 'deleted' || afterDeletion.has(type);
}

function evolve(state: Connection, event: ConnectionEvent, meta: EventMeta): Connection {
  if (!Object.hasOwn(evolvers, event.type) || !concerns(state, event.type)) return state;
  const apply = evolvers[event.type] as (state: Connection, data: unknown, meta: EventMeta) => Connection;
  return apply(state, event.data, meta);
}

/** The fold of a connection's events. */
export const connectionEvolver: Evolver<Connection, ConnectionEvent> = Object.freeze({
  kind: 'connection',
  stateVersion: 1,
  initialState: noConnection,
  evolve,
});
