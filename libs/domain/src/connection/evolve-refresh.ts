import type { EventMeta } from '../evolver.ts';
import type { DataOf } from './events.ts';
import type { Evolvers } from './evolvers.ts';
import { healthy, learned, type Connection, type Health, type Interrupted } from './state.ts';

type RefreshEventType =
  | 'RefreshStarted'
  | 'RefreshTokenReleased'
  | 'AccessTokenRefreshed'
  | 'RefreshTokenRotated'
  | 'ScopeDriftDetected'
  | 'RefreshFailed'
  | 'RefreshRejected'
  | 'RefreshInterrupted'
  | 'ReauthorizationRequired'
  | 'AuthorizationExpiring'
  | 'RotationDue';

/** How many interrupted claims of one version are remembered: the first and its one retry. */
const interruptedClaimsMax = 2;

function degraded(state: Connection, atMs: number, more: Pick<Health, 'reason' | 'nextAttemptAtMs'>): Health {
  return {
    status: 'degraded',
    reason: more.reason,
    failingSinceMs: state.health.failingSinceMs ?? atMs,
    nextAttemptAtMs: more.nextAttemptAtMs,
  };
}

function withoutClaim(state: Connection, claimId: string): Connection {
  return state.claim?.claimId === claimId ? { ...state, claim: null } : state;
}

/** A new version ends every claim on an older one, and with it the doubt about interrupted ones. */
function refreshed(state: Connection, data: DataOf<'AccessTokenRefreshed'>, { atMs }: EventMeta): Connection {
  if (state.credential === null) return state;
  const healed = state.authorization === 'reauthorization_required';
  return {
    ...state,
    authorization: healed ? 'authorized' : state.authorization,
    credential: {
      ...state.credential,
      version: data.credentialVersion,
      grantedScopes: data.grantedScopes,
      accessTokenExpiresAtMs: data.accessTokenExpiresAtMs,
      refreshedAtMs: atMs,
      boughtBy: data.claimId,
    },
    claim: null,
    interrupted: null,
    health: healthy,
    reauthorizationCause: healed ? null : state.reauthorizationCause,
    evidence: healed ? null : state.evidence,
  };
}

function expiring(state: Connection, { endsAtMs }: DataOf<'AuthorizationExpiring'>): Connection {
  if (state.credential === null) return state;
  return { ...state, credential: learned(state.credential, { authorizationEndsAtMs: endsAtMs }) };
}

function interruptedWith(before: Interrupted | null, data: DataOf<'RefreshInterrupted'>): Interrupted {
  const { claimId, credentialVersion, retryAtMs } = data;
  const earlier = before?.credentialVersion === credentialVersion ? before.claimIds : [];
  return {
    credentialVersion,
    claimIds: [...earlier, claimId].slice(-interruptedClaimsMax),
    ...(retryAtMs !== undefined && { retryAtMs }),
  };
}

/** The retry waits for the living token: a provider with reuse detection may answer it by killing that token. */
function interrupted(state: Connection, data: DataOf<'RefreshInterrupted'>, { atMs }: EventMeta): Connection {
  const retryAtMs = data.retryAtMs ?? state.credential?.accessTokenExpiresAtMs ?? atMs;
  const nextAttemptAtMs = Math.max(retryAtMs, atMs);
  return {
    ...withoutClaim(state, data.claimId),
    interrupted: interruptedWith(state.interrupted, data),
    health: degraded(state, atMs, { reason: 'refresh_interrupted', nextAttemptAtMs }),
  };
}

export const refreshEvolvers: Evolvers<RefreshEventType> = {
  RefreshStarted: (state, { claimId, credentialVersion, claimExpiresAtMs }) => ({
    ...state,
    claim: { claimId, credentialVersion, expiresAtMs: claimExpiresAtMs, released: false },
  }),
  RefreshTokenReleased: (state, { claimId }) =>
    state.claim?.claimId === claimId ? { ...state, claim: { ...state.claim, released: true } } : state,
  AccessTokenRefreshed: refreshed,
  RefreshTokenRotated: (state) => state,
  ScopeDriftDetected: (state) => state,
  RefreshFailed: (state, { claimId, error, nextAttemptAtMs }, { atMs }) => ({
    ...withoutClaim(state, claimId),
    health: degraded(state, atMs, { reason: error, nextAttemptAtMs }),
  }),
  RefreshRejected: (state, { claimId, error }, { atMs }) => ({
    ...withoutClaim(state, claimId),
    health: degraded(state, atMs, { reason: error, nextAttemptAtMs: null }),
  }),
  RefreshInterrupted: interrupted,
  AuthorizationExpiring: expiring,
  RotationDue: (state, _data, { atMs }) =>
    state.credential === null
      ? state
      : { ...state, credential: learned(state.credential, { rotationDueSinceMs: atMs }) },
  ReauthorizationRequired: (state, { cause, evidence }) =>
    state.authorization === 'authorized'
      ? { ...state, authorization: 'reauthorization_required', reauthorizationCause: cause, evidence }
      : state,
};
