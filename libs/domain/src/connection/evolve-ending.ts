import { endSession } from './evolve-authorization.ts';
import type { DataOf } from './events.ts';
import type { Evolvers } from './evolvers.ts';
import { learned, type Connection } from './state.ts';

type EndingEventType =
  | 'ConnectionRevoked'
  | 'RevocationSuspected'
  | 'RevocationDisproved'
  | 'InspectionStarted'
  | 'InsufficientScopeReported'
  | 'ClaimsRequired'
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

/**
 * The provider ended the grant. It needs not be told; and an end user who is authorizing again is doing so because of
 * it, so that the session goes on.
 */
function endedElsewhere(state: Connection): Connection {
  const upstreamRevocation = state.credential === null ? null : 'completed';
  return { ...state, claim: null, interrupted: null, upstreamRevocation };
}

function suspected(state: Connection, { credentialVersion, evidence }: DataOf<'RevocationSuspected'>): Connection {
  return state.credential?.version === credentialVersion ? decidedBy(state, evidence) : state;
}

/** Remembers the signal with what it is about. */
function decidedBy(state: Connection, { position }: DataOf<'RevocationSuspected'>['evidence']): Connection {
  if (state.credential === null) return state;
  const { version: credentialVersion } = state.credential;
  return { ...state, credential: learned(state.credential, { signal: { credentialVersion, position } }) };
}

function disproved(state: Connection, { credentialVersion }: DataOf<'RevocationDisproved'>, atMs: number): Connection {
  const { credential } = state;
  if (credential?.signal === undefined || credential.version !== credentialVersion) return state;
  return { ...state, credential: learned(credential, { signal: { ...credential.signal, disprovedAtMs: atMs } }) };
}

function inspected(state: Connection, { credentialVersion }: DataOf<'InspectionStarted'>, atMs: number): Connection {
  const { credential } = state;
  if (credential?.version !== credentialVersion) return state;
  return { ...state, credential: learned(credential, { inspectedAtMs: atMs }) };
}

function allowsTooLittle(state: Connection, data: DataOf<'InsufficientScopeReported'>): Connection {
  const { credential } = state;
  if (credential === null || credential.version !== data.credentialVersion) return state;
  const missingScopes = [...new Set([...(credential.missingScopes ?? []), ...data.missingScopes])];
  return { ...state, credential: learned(credential, { missingScopes }) };
}

function claimsRequired(state: Connection, data: DataOf<'ClaimsRequired'>): Connection {
  const { credential, authorization } = state;
  if (authorization !== 'authorized' || credential?.version !== data.credentialVersion) return state;
  return {
    ...state,
    authorization: 'reauthorization_required',
    credential: learned(credential, { requiredClaims: data.claims }),
    reauthorizationCause: 'insufficient_claims',
    evidence: 'insufficient_claims',
  };
}

function upstream(state: Connection, version: number, outcome: 'completed' | 'failed'): Connection {
  const current = state.credential?.version === version && state.upstreamRevocation === 'pending';
  return current ? { ...state, upstreamRevocation: outcome } : state;
}

export const endingEvolvers: Evolvers<EndingEventType> = {
  ConnectionRevoked: (state, { cause, evidence }, { atMs }) => ({
    ...(evidence === null ? stop(state) : decidedBy(endedElsewhere(state), evidence)),
    authorization: 'revoked',
    revokedAtMs: atMs,
    revocationCause: cause,
  }),
  RevocationSuspected: suspected,
  RevocationDisproved: (state, data, { atMs }) => disproved(state, data, atMs),
  InspectionStarted: (state, data, { atMs }) => inspected(state, data, atMs),
  InsufficientScopeReported: allowsTooLittle,
  ClaimsRequired: claimsRequired,
  UpstreamRevocationCompleted: (state, { credentialVersion }) => upstream(state, credentialVersion, 'completed'),
  UpstreamRevocationFailed: (state, { credentialVersion, final }) =>
    final ? upstream(state, credentialVersion, 'failed') : state,
  ConnectionSuspended: (state) => ({ ...state, suspended: true }),
  ConnectionResumed: (state) => ({ ...state, suspended: false }),
  DeletionRequested: (state) => ({ ...stop(state), authorization: 'deleted' }),
  ConnectionKeyShredded: (state) => ({ ...state, keyShredded: true }),
};
