import type { Evolvers } from './evolvers.ts';

/**
 * A closing that misstates what stood, and an opening that carries another connection's state, change nothing: the
 * one would let the opening revive what was revoked, the other let one tenant's state stand under another's subject.
 */
export const epochEvolvers: Evolvers<'EpochClosed' | 'EpochOpened'> = {
  EpochClosed: (state, { authorization }) =>
    state.authorization === authorization ? { ...state, authorization: 'moved' } : state,
  EpochOpened: (state, { state: carried }, { tenantId, aggregateId }) =>
    carried.tenantId === tenantId && carried.connectionId === aggregateId ? carried : state,
};
