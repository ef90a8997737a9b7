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

/** A customer of Postern: the wall around its platforms, registrations and connections. */
export interface Tenant extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly disabled: boolean;
}

export type TenantEvent = Extract<AdminEvent, { type: 'TenantCreated' | 'TenantDisabled' }>;

/** The fold of a tenant's events. */
export const tenantEvolver: Evolver<Tenant, TenantEvent> = Object.freeze({
  kind: 'tenant',
  stateVersion: 1,
  initialState: Object.freeze({ exists: false, tenantId: '', name: '', createdAtMs: 0, disabled: false }),
  evolve: adminEvolve<Tenant, TenantEvent['type']>('TenantCreated', {
    TenantCreated: (state, { name }, { tenantId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      name,
      createdAtMs: atMs,
    }),
    TenantDisabled: (state) => ({ ...state, disabled: true }),
  }),
});

/**
 * @returns no events when it exists under this name.
 * @throws {PosternError} `tenant.exists` under another name
 */
export function createTenant({ name }: AdminDataOf<'TenantCreated'>, state: Tenant): TenantEvent[] {
  return createOnce('tenant', state, { same: state.name === name, event: adminEvent('TenantCreated', { name }) });
}

/**
 * Refuses everything of the tenant, for ever.
 *
 * @returns no events when it is disabled already.
 * @throws {PosternError} `tenant.not_found`
 */
export function disableTenant({ reason }: AdminDataOf<'TenantDisabled'>, state: Tenant): TenantEvent[] {
  requireBegun('tenant', state);
  return state.disabled ? [] : [adminEvent('TenantDisabled', { reason })];
}
