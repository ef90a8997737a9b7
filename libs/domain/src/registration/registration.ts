import type { AdminEvent } from '@postern/contracts';

import { adminEvolve, type AdminDataOf, type AdminState } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** Our client at a provider. Its secret is with the vault; here stands its version alone. @source RFC 7591 §1.2 */
export interface Registration extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly registrationId: string;
  readonly providerId: string;
  readonly displayName: string;
  readonly clientId: string;
  readonly tokenEndpointAuthMethod: AdminDataOf<'RegistrationCreated'>['tokenEndpointAuthMethod'];
  /** Values for the provider file's parameters, in the order of their names. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly scopes: string[];
  readonly createdAtMs: number;
  readonly secretVersion: number | null;
  readonly disabled: boolean;
}

export type RegistrationEvent = Extract<
  AdminEvent,
  { type: 'RegistrationCreated' | 'RegistrationSecretStored' | 'RegistrationDisabled' }
>;

const noRegistration: Registration = Object.freeze({
  exists: false,
  tenantId: '',
  registrationId: '',
  providerId: '',
  displayName: '',
  clientId: '',
  tokenEndpointAuthMethod: 'none',
  parameters: {},
  scopes: [],
  createdAtMs: 0,
  secretVersion: null,
  disabled: false,
});

/** The same record with its keys in order: a record has no order of its own, and the state must have one. */
export function sorted(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

/** The fold of a client registration's events. */
export const registrationEvolver: Evolver<Registration, RegistrationEvent> = Object.freeze({
  kind: 'registration',
  stateVersion: 1,
  initialState: noRegistration,
  evolve: adminEvolve<Registration, RegistrationEvent['type']>('RegistrationCreated', {
    RegistrationCreated: (state, data, { tenantId, aggregateId, atMs }) => ({
      ...state,
      exists: true,
      tenantId,
      registrationId: aggregateId,
      providerId: data.providerId,
      displayName: data.displayName,
      clientId: data.clientId,
      tokenEndpointAuthMethod: data.tokenEndpointAuthMethod,
      parameters: sorted(data.parameters),
      scopes: data.scopes,
      createdAtMs: atMs,
    }),
    RegistrationSecretStored: (state, { secretVersion }) => ({
      ...state,
      secretVersion: Math.max(secretVersion, state.secretVersion ?? 0),
    }),
    RegistrationDisabled: (state) => ({ ...state, disabled: true }),
  }),
});
