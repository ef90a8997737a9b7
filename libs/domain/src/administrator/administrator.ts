import type { AdminEvent } from '@postern/contracts';

import {
  adminEvent,
  adminEvolve,
  createOnce,
  requireBegun,
  requireEnabled,
  type AdminDataOf,
  type AdminState,
} from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** Who administers a tenant. The label names a role, since events are for ever and people may be forgotten. */
export interface Administrator extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly administratorId: string;
  readonly label: string;
  readonly createdAtMs: number;
  /** Public key of the NATS user made last. */
  readonly natsUser: string | null;
  readonly disabled: boolean;
}

export type AdministratorEvent = Extract<
  AdminEvent,
  { type: 'AdministratorCreated' | 'AdministratorCredentialsIssued' | 'AdministratorDisabled' }
>;

const noAdministrator: Administrator = Object.freeze({
  exists: false,
  tenantId: '',
  administratorId: '',
  label: '',
  createdAtMs: 0,
  natsUser: null,
  disabled: false,
});

/** The fold of an administrator's events. */
export const administratorEvolver: Evolver<Administrator, AdministratorEvent> = Object.freeze({
  kind: 'administrator',
  stateVersion: 1,
  initialState: noAdministrator,
  evolve: adminEvolve<Administrator, AdministratorEvent['type']>('AdministratorCreated', {
    AdministratorCreated: (state, { label }, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      administratorId: aggregateId,
      label,
      createdAtMs: atMs,
    }),
    AdministratorCredentialsIssued: (state, { natsUser }) => ({ ...state, natsUser }),
    AdministratorDisabled: (state) => ({ ...state, disabled: true }),
  }),
});

/**
 * @returns no events when it exists under this label.
 * @throws {PosternError} `administrator.exists` under another label
 */
export function createAdministrator(
  { label }: AdminDataOf<'AdministratorCreated'>,
  state: Administrator,
): AdministratorEvent[] {
  const event = adminEvent('AdministratorCreated', { label });
  return createOnce('administrator', state, { same: state.label === label, event });
}

/**
 * Records the NATS user made for the administrator.
 *
 * @throws {PosternError} `administrator.not_found`, `administrator.disabled`
 */
export function issueAdministratorCredentials(
  { natsUser }: AdminDataOf<'AdministratorCredentialsIssued'>,
  state: Administrator,
): AdministratorEvent[] {
  requireEnabled('administrator', state);
  return state.natsUser === natsUser ? [] : [adminEvent('AdministratorCredentialsIssued', { natsUser })];
}

/**
 * Refuses the administrator, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `administrator.not_found`
 */
export function disableAdministrator(
  { reason }: AdminDataOf<'AdministratorDisabled'>,
  state: Administrator,
): AdministratorEvent[] {
  requireBegun('administrator', state);
  return state.disabled ? [] : [adminEvent('AdministratorDisabled', { reason })];
}
