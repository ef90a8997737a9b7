import type { AdminEvent } from '@postern/contracts';

import {
  adminEvent,
  adminEvolve,
  alike,
  createOnce,
  requireBegun,
  requireEnabled,
  type AdminDataOf,
  type AdminState,
} from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** Somebody who hears of ends by ways of their own, and publishes what they heard as signals on the bus. */
export interface Bridge extends AdminState, AdminDataOf<'BridgeCreated'> {
  readonly exists: boolean;
  /** Whose administrators keep it; not the limit of what it may speak about. */
  readonly tenantId: string;
  readonly bridgeId: string;
  readonly createdAtMs: number;
  /** Public key of the NATS user made last. */
  readonly natsUser: string | null;
  readonly disabled: boolean;
}

export type BridgeEvent = Extract<AdminEvent, { type: 'BridgeCreated' | 'BridgeCredentialsIssued' | 'BridgeDisabled' }>;

const noBridge: Bridge = Object.freeze({
  exists: false,
  tenantId: '',
  bridgeId: '',
  displayName: '',
  speaksFor: [],
  createdAtMs: 0,
  natsUser: null,
  disabled: false,
});

/** The fold of a bridge's events. */
export const bridgeEvolver: Evolver<Bridge, BridgeEvent> = Object.freeze({
  kind: 'bridge',
  stateVersion: 1,
  initialState: noBridge,
  evolve: adminEvolve<Bridge, BridgeEvent['type']>('BridgeCreated', {
    BridgeCreated: (state, { displayName, speaksFor }, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      bridgeId: aggregateId,
      displayName,
      speaksFor,
      createdAtMs: atMs,
    }),
    BridgeCredentialsIssued: (state, { natsUser }) => ({ ...state, natsUser }),
    BridgeDisabled: (state) => ({ ...state, disabled: true }),
  }),
});

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `bridge.exists` in other words
 */
export function createBridge({ displayName, speaksFor }: AdminDataOf<'BridgeCreated'>, state: Bridge): BridgeEvent[] {
  const same = state.displayName === displayName && alike(state.speaksFor, speaksFor);
  return createOnce('bridge', state, { same, event: adminEvent('BridgeCreated', { displayName, speaksFor }) });
}

/**
 * Records the NATS user made for the bridge.
 *
 * @throws {PosternError} `bridge.not_found`, `bridge.disabled`
 */
export function issueBridgeCredentials(
  { natsUser }: AdminDataOf<'BridgeCredentialsIssued'>,
  state: Bridge,
): BridgeEvent[] {
  requireEnabled('bridge', state);
  return state.natsUser === natsUser ? [] : [adminEvent('BridgeCredentialsIssued', { natsUser })];
}

/**
 * Takes nothing of it any more, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `bridge.not_found`
 */
export function disableBridge({ reason }: AdminDataOf<'BridgeDisabled'>, state: Bridge): BridgeEvent[] {
  requireBegun('bridge', state);
  return state.disabled ? [] : [adminEvent('BridgeDisabled', { reason })];
}
