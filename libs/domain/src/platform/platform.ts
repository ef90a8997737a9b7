import type { AdminEvent } from '@postern/contracts';

import type { AdminDataOf, AdminState } from '../admin-events.ts';
import { adminEvolve } from '../admin-events.ts';
import type { Evolver } from '../evolver.ts';

/** A customer's software: whose connections they are, and to whom tokens are leased. */
export interface Platform extends AdminState {
  readonly exists: boolean;
  readonly tenantId: string;
  readonly platformId: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** Where browsers may be sent back to, exactly. */
  readonly returnUrls: string[];
  /** Argon2id hash of the client secret that counts. */
  readonly secretHash: string | null;
  /** Public key of the NATS user made last. */
  readonly natsUser: string | null;
  readonly disabled: boolean;
}

export type PlatformEvent = Extract<
  AdminEvent,
  { type: 'PlatformCreated' | 'PlatformSecretIssued' | 'PlatformCredentialsIssued' | 'PlatformDisabled' }
>;

const noPlatform: Platform = Object.freeze({
  exists: false,
  tenantId: '',
  platformId: '',
  name: '',
  createdAtMs: 0,
  returnUrls: [],
  secretHash: null,
  natsUser: null,
  disabled: false,
});

/** The fold of a platform's events. */
export const platformEvolver: Evolver<Platform, PlatformEvent> = Object.freeze({
  kind: 'platform',
  stateVersion: 1,
  initialState: noPlatform,
  evolve: adminEvolve<Platform, PlatformEvent['type']>('PlatformCreated', {
    PlatformCreated: (
      state,
      { name, returnUrls }: AdminDataOf<'PlatformCreated'>,
      { tenantId, aggregateId, atMs },
    ) => ({
      ...state,
      exists: true,
      tenantId,
      platformId: aggregateId,
      name,
      createdAtMs: atMs,
      returnUrls,
    }),
    PlatformSecretIssued: (state, { secretHash }) => ({ ...state, secretHash }),
    PlatformCredentialsIssued: (state, { natsUser }) => ({ ...state, natsUser }),
    PlatformDisabled: (state) => ({ ...state, disabled: true }),
  }),
});
