import { endSession } from './evolve-authorization.ts';
import type { Evolvers } from './evolvers.ts';
import type { Connection } from './state.ts';

type EndingEventType =
  | 'ConnectionRevoked'
  | 'UpstreamRevocationCompleted'
  | 'UpstreamRevocationFailed'
  | 'ConnectionSuspended'
  | 'ConnectionResumed'
  | 'DeletionRequested'
  | 'ConnectionKeyShredded';

/** Ends what is in flight: the claim, the doubt about earlier ones, and a session that began before. */
function stop(state: Connection): Connection {
  const owesTheProvider = state.credential !== null && state.upstreamRevocation === null;
  return {
    ...endSession(state, 'revoked'),
    claim: null,
    interrupted: null,
    upstreamRevocation: owesTheProvider ? 'pending' : state.upstreamRevocation,
  };
}

function upstream(state: Connection, version: number, outcome: 'completed' | 'failed'): Connection {
  const current = state.credential?.version === version && state.upstreamRevocation === 'pending';
  return current ? { ...state, upstreamRevocation: outcome } : state;
}

export const endingEvolvers: Evolvers<EndingEventType> = {
  ConnectionRevoked: (state, { cause }, { atMs }) => ({
    ...stop(state),
    authorization: 'revoked',
    revokedAtMs: atMs,
    revocationCause: cause,
  }),
  UpstreamRevocationCompleted: (state, { credentialVersion }) => upstream(state, credentialVersion, 'completed'),
  UpstreamRevocationFailed: (state, { credentialVersion, final }) =>
    final ? upstream(state, credentialVersion, 'failed') : state,
  ConnectionSuspended: (state) => ({ ...state, suspended: true }),
  ConnectionResumed: (state) => ({ ...state, suspended: false }),
  DeletionRequested: (state) => ({ ...stop(state), authorization: 'deleted' }),
  ConnectionKeyShredded: (state) => ({ ...state, keyShredded: true }),
};
