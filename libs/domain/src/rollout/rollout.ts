import type { AdminEvent } from '@postern/contracts';

import { adminEvolve, type AdminDataOf, type AdminState } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** What a tenant decided about the versions of one provider's file; the aggregate's id is the provider's. */
export interface Rollout extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly providerId: string;
  /** What new connections are made with; null: what the catalog has as its newest. */
  readonly current: CurrentVersion | null;
  /** To what the last promotion can be taken back; null when there is none. */
  readonly before: { readonly current: CurrentVersion | null } | null;
  readonly canary: Omit<AdminDataOf<'ProviderCanaryStarted'>, 'otherwise'> | null;
  /** Rolled back: no connection uses them, also those that were made with one. */
  readonly withdrawn: readonly number[];
  readonly reauthorizationMovesPin: boolean;
  /** Never: a rollout has no end. */
  readonly disabled: boolean;
}

/** A version for new connections, and whether it stands above the pins of those that are there. */
export interface CurrentVersion {
  readonly version: number;
  readonly carriesConnections: boolean;
}

export type RolloutEvent = Extract<
  AdminEvent,
  {
    type:
      | 'RolloutCreated'
      | 'ProviderCanaryStarted'
      | 'ProviderVersionPromoted'
      | 'ProviderVersionRolledBack'
      | 'PinPolicyChanged';
  }
>;

const noRollout: Rollout = Object.freeze({
  exists: false,
  tenantId: '',
  providerId: '',
  current: null,
  before: null,
  canary: null,
  withdrawn: [],
  reauthorizationMovesPin: true,
  disabled: false,
});

const without = (versions: readonly number[], version: number) => versions.filter((other) => other !== version);

function rolledBack(state: Rollout, version: number): Rollout {
  const withdrawn = [...without(state.withdrawn, version), version];
  if (state.canary?.version === version) return { ...state, canary: null, withdrawn };
  if (state.current?.version !== version) return state;
  return { ...state, current: state.before?.current ?? null, before: null, withdrawn };
}

/** The fold of a rollout's events. */
export const rolloutEvolver: Evolver<Rollout, RolloutEvent> = Object.freeze({
  kind: 'rollout',
  stateVersion: 1,
  initialState: noRollout,
  evolve: adminEvolve<Rollout, RolloutEvent['type']>('RolloutCreated', {
    RolloutCreated: (state, { providerId }, { tenantId }) => ({ ...state, exists: true, tenantId, providerId }),
    // Member by member: the state is compared byte for byte, in whatever order the event was written.
    ProviderCanaryStarted: (state, { version, otherwise, sharePercent, connectionIds, registrationIds }) => ({
      ...state,
      current: state.current ?? { version: otherwise, carriesConnections: false },
      canary: { version, sharePercent, connectionIds, registrationIds },
      withdrawn: without(state.withdrawn, version),
    }),
    ProviderVersionPromoted: (state, { version, carriesConnections }) => ({
      ...state,
      current: { version, carriesConnections },
      before: { current: state.current },
      canary: null,
      withdrawn: without(state.withdrawn, version),
    }),
    ProviderVersionRolledBack: (state, { version }) => rolledBack(state, version),
    PinPolicyChanged: (state, { reauthorizationMovesPin }) => ({ ...state, reauthorizationMovesPin }),
  }),
});
