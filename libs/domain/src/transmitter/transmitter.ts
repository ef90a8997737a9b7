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

/** A client registration about whose connections a transmitter may speak. */
export type SpokenFor = AdminDataOf<'TransmitterCreated'>['speaksFor'][number];

/**
 * Somebody whose security events are believed. Which tenants and providers it may speak about is said by their client
 * registrations, by an administrator, and by nothing that stands in an event.
 *
 * @source RFC 8417 §4 (SET transmitter)
 */
export interface Transmitter extends AdminState, AdminDataOf<'TransmitterCreated'> {
  readonly exists: boolean;
  /** Whose administrators keep it; not the limit of what it may speak about. */
  readonly tenantId: string;
  readonly transmitterId: string;
  readonly createdAtMs: number;
  readonly disabled: boolean;
}

export type TransmitterEvent = Extract<
  AdminEvent,
  { type: 'TransmitterCreated' | 'TransmitterScopeChanged' | 'TransmitterDisabled' }
>;

const noTransmitter: Transmitter = Object.freeze({
  exists: false,
  tenantId: '',
  transmitterId: '',
  displayName: '',
  issuer: '',
  audiences: [],
  jwksUri: '',
  typeRequired: true,
  delivery: Object.freeze({ method: 'push', bearerHash: null }),
  speaksFor: [],
  createdAtMs: 0,
  disabled: false,
});

/** The fold of a transmitter's events. */
export const transmitterEvolver: Evolver<Transmitter, TransmitterEvent> = Object.freeze({
  kind: 'transmitter',
  stateVersion: 1,
  initialState: noTransmitter,
  evolve: adminEvolve<Transmitter, TransmitterEvent['type']>('TransmitterCreated', {
    TransmitterCreated: (state, data, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      transmitterId: aggregateId,
      ...data,
      createdAtMs: atMs,
    }),
    TransmitterScopeChanged: (state, { speaksFor }) => ({ ...state, speaksFor }),
    TransmitterDisabled: (state) => ({ ...state, disabled: true }),
  }),
});

/**
 * @returns no events when it exists in these words.
 * @throws {PosternError} `transmitter.exists` in other words
 */
export function createTransmitter(data: AdminDataOf<'TransmitterCreated'>, state: Transmitter): TransmitterEvent[] {
  const { displayName, issuer, audiences, jwksUri, typeRequired, delivery, speaksFor } = state;
  const existing = { displayName, issuer, audiences, jwksUri, typeRequired, delivery, speaksFor };
  const event = adminEvent('TransmitterCreated', {
    displayName: data.displayName,
    issuer: data.issuer,
    audiences: data.audiences,
    jwksUri: data.jwksUri,
    typeRequired: data.typeRequired,
    delivery: data.delivery,
    speaksFor: data.speaksFor,
  });
  return createOnce('transmitter', state, { same: alike(existing, event.data), event });
}

/**
 * Says about whom it may speak from now on.
 *
 * @returns no events when that is so already.
 * @throws {PosternError} `transmitter.not_found`, `transmitter.disabled`
 */
export function changeTransmitterScope(
  { speaksFor }: AdminDataOf<'TransmitterScopeChanged'>,
  state: Transmitter,
): TransmitterEvent[] {
  requireEnabled('transmitter', state);
  return alike(state.speaksFor, speaksFor) ? [] : [adminEvent('TransmitterScopeChanged', { speaksFor })];
}

/**
 * Takes nothing of it any more, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `transmitter.not_found`
 */
export function disableTransmitter(
  { reason }: AdminDataOf<'TransmitterDisabled'>,
  state: Transmitter,
): TransmitterEvent[] {
  requireBegun('transmitter', state);
  return state.disabled ? [] : [adminEvent('TransmitterDisabled', { reason })];
}
