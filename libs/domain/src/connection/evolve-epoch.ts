import type { CarriedConnection } from '@postern/contracts';

import type { Evolvers } from './evolvers.ts';
import type { Connection } from './state.ts';

/**
 * A closing that misstates what stood, and an opening that carries another state than was closed, or another
 * connection's, change nothing: the one would let the opening revive what was revoked, the other let one tenant's state
 * stand under another's subject. That closing and opening name the same authorization is seen to where commits are read.
 */
export const epochEvolvers: Evolvers<'EpochClosed' | 'EpochOpened'> = {
  EpochClosed: (state, { authorization }) =>
    state.authorization === authorization ? { ...state, authorization: 'moved' } : state,
  EpochOpened: (state, { state: carried }, { tenantId, aggregateId }) =>
    carried.tenantId === tenantId && carried.connectionId === aggregateId && follows(carried, state) ? carried : state,
};

function follows(carried: CarriedConnection, before: Connection): boolean {
  if (before.authorization === 'none') return true;
  return JSON.stringify({ ...carried, authorization: 'moved' }) === JSON.stringify(before);
}
