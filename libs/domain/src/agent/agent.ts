import type { AdminEvent } from '@postern/contracts';

import {
  adminEvent,
  adminEvolve,
  createOnce,
  requireBegun,
  type AdminDataOf,
  type AdminState,
} from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** The actor on whose behalf a platform leases. @source RFC 8693 §1.1 */
export interface Agent extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly agentId: string;
  readonly platformId: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly disabled: boolean;
}

export type AgentEvent = Extract<AdminEvent, { type: 'AgentCreated' | 'AgentDisabled' }>;

const noAgent: Agent = Object.freeze({
  exists: false,
  tenantId: '',
  agentId: '',
  platformId: '',
  name: '',
  createdAtMs: 0,
  disabled: false,
});

/** The fold of an agent's events. */
export const agentEvolver: Evolver<Agent, AgentEvent> = Object.freeze({
  kind: 'agent',
  stateVersion: 1,
  initialState: noAgent,
  evolve: adminEvolve<Agent, AgentEvent['type']>('AgentCreated', {
    AgentCreated: (state, { platformId, name }, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      agentId: aggregateId,
      platformId,
      name,
      createdAtMs: atMs,
    }),
    AgentDisabled: (state) => ({ ...state, disabled: true }),
  }),
});

/**
 * Begins an agent of a platform. Whether that platform exists is the caller's to look up.
 *
 * @returns no events when it exists in these words.
 * @throws {PosternError} `agent.exists` in other words
 */
export function createAgent({ platformId, name }: AdminDataOf<'AgentCreated'>, state: Agent): AgentEvent[] {
  const same = state.platformId === platformId && state.name === name;
  return createOnce('agent', state, { same, event: adminEvent('AgentCreated', { platformId, name }) });
}

/**
 * Refuses the agent, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `agent.not_found`
 */
export function disableAgent({ reason }: AdminDataOf<'AgentDisabled'>, state: Agent): AgentEvent[] {
  requireBegun('agent', state);
  return state.disabled ? [] : [adminEvent('AgentDisabled', { reason })];
}
