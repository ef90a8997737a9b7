import { labelOf } from '@postern/domain';

import type { ConnectionModel } from './model.ts';
import { connectionTable } from './tables.ts';

/** What each connection is, as its newest commit left it. */
export const connectionsModel: ConnectionModel = {
  name: 'connections',
  stream: 'connections',
  tables: [connectionTable],
  fold: ({ entry: { commit, position, hash }, state }) => ({
    row: {
      connection_id: commit.aggregateId,
      revision: commit.revision,
      hash,
      platform_id: state.platformId,
      provider_id: state.providerId,
      registration_id: state.registrationId,
      position,
      at_ms: Date.parse(commit.at),
      created_at_ms: state.createdAtMs,
      authorization_state: state.authorization,
      suspended: state.suspended,
      health: labelOf(state),
      credential_version: state.credential?.version ?? null,
      // RFC 6749 §3.3: a scope token holds no space.
      scope: state.credential?.grantedScopes.join(' ') ?? '',
    },
  }),
};
