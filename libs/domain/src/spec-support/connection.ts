import type { Delegation, SignalEvidence } from '@postern/contracts';

import { connectionEvent, type DataOf } from '../connection/events.ts';
import { connectionEvolver } from '../connection/evolve.ts';
import { secondMs, specification, startMs, tenantId } from './given.ts';

const numbered = (prefix: string, n: number) => `${prefix}_01jd${String(n).padStart(22, '0')}`;

export const connectionId = numbered('con', 1);
export const platformId = numbered('plt', 1);
export const otherPlatformId = numbered('plt', 2);
export const registrationId = numbered('reg', 1);
export const ses = (n: number) => numbered('ses', n);
export const clm = (n: number) => numbered('clm', n);

export const providerId = 'acme-crm';
export const endUserDigest = 'digest-of-alice';
export const owner = { tenantId, platformId };

/** The access tokens of these specifications live an hour from the beginning; the sessions ten minutes. */
export const tokenEndsMs = startMs + 3_600 * secondMs;
export const sessionEndsMs = startMs + 600 * secondMs;
/** A time at which the first access token lives, and one at which it has ended. */
export const whileItLives = startMs + 60 * secondMs;
export const afterItsEnd = tokenEndsMs + 60 * secondMs;
export const claimTimeoutMs = 30 * secondMs;

/** Each event of a connection with data that fit; give what matters to the rule. */
export const the = {
  sessionStarted: (data: Partial<DataOf<'AuthorizationStarted'>> = {}) =>
    connectionEvent('AuthorizationStarted', {
      sessionId: ses(1),
      purpose: 'connect',
      platformId,
      providerId,
      registrationId,
      endUserDigest,
      requestedScopes: ['contacts.read', 'offline_access'],
      returnUrl: 'https://platform.example/return',
      expiresAtMs: sessionEndsMs,
      ...data,
    }),
  establishmentStarted: (data: Partial<DataOf<'EstablishmentStarted'>> = {}) =>
    connectionEvent('EstablishmentStarted', {
      sessionId: ses(1),
      purpose: 'connect',
      grant: 'client_credentials',
      platformId,
      providerId,
      registrationId,
      endUserDigest: null,
      requestedScopes: ['contacts.read'],
      expiresAtMs: sessionEndsMs,
      providerVersion: 3,
      ...data,
    }),
  /** One that will be derived from the others that are named. */
  exchangeEstablishment: (delegation: Delegation) =>
    connectionEvent('EstablishmentStarted', {
      sessionId: ses(1),
      purpose: 'connect',
      grant: 'token_exchange',
      platformId,
      providerId,
      registrationId,
      endUserDigest,
      requestedScopes: ['contacts.read'],
      expiresAtMs: sessionEndsMs,
      providerVersion: 3,
      delegation,
    }),
  exchangeStarted: (sessionId = ses(1)) => connectionEvent('CodeExchangeStarted', { sessionId }),
  denied: (data: Partial<DataOf<'AuthorizationDenied'>> = {}) =>
    connectionEvent('AuthorizationDenied', {
      sessionId: ses(1),
      stage: 'authorization',
      error: 'access_denied',
      errorDescription: null,
      ...data,
    }),
  deviceStarted: (data: Partial<DataOf<'DeviceAuthorizationStarted'>> = {}) =>
    connectionEvent('DeviceAuthorizationStarted', {
      ...polling,
      deviceCodeExpiresAtMs: startMs + 600 * secondMs,
      ...data,
    }),
  devicePolling: (data: Partial<DataOf<'DevicePollingStarted'>> = {}) =>
    connectionEvent('DevicePollingStarted', { ...polling, ...data }),
  deviceGranted: (data: Partial<DataOf<'DeviceAuthorizationGranted'>> = {}) =>
    connectionEvent('DeviceAuthorizationGranted', { sessionId: ses(1), accountDigest: 'digest-of-account', ...data }),
  authorized: (data: Partial<DataOf<'ConnectionAuthorized'>> = {}) =>
    connectionEvent('ConnectionAuthorized', { ...granted, ...data }),
  reauthorized: (data: Partial<DataOf<'ConnectionReauthorized'>> = {}) =>
    connectionEvent('ConnectionReauthorized', { ...granted, sessionId: ses(2), credentialVersion: 2, ...data }),
  claimed: (data: Partial<DataOf<'RefreshStarted'>> = {}) =>
    connectionEvent('RefreshStarted', {
      claimId: clm(1),
      credentialVersion: 1,
      claimExpiresAtMs: tokenEndsMs + 90 * secondMs,
      reason: 'expired',
      ...data,
    }),
  released: (claimId = clm(1)) => connectionEvent('RefreshTokenReleased', { claimId }),
  refreshed: (data: Partial<DataOf<'AccessTokenRefreshed'>> = {}) =>
    connectionEvent('AccessTokenRefreshed', {
      claimId: clm(1),
      credentialVersion: 2,
      grantedScopes: ['contacts.read', 'offline_access'],
      accessTokenExpiresAtMs: tokenEndsMs + 3_600 * secondMs,
      ...data,
    }),
  rotated: (data: Partial<DataOf<'RefreshTokenRotated'>> = {}) =>
    connectionEvent('RefreshTokenRotated', { claimId: clm(1), credentialVersion: 2, ...data }),
  scopeDrift: (data: Partial<DataOf<'ScopeDriftDetected'>> = {}) =>
    connectionEvent('ScopeDriftDetected', {
      claimId: clm(1),
      credentialVersion: 2,
      lostScopes: ['contacts.read'],
      gainedScopes: [],
      ...data,
    }),
  failed: (data: Partial<DataOf<'RefreshFailed'>> = {}) =>
    connectionEvent('RefreshFailed', {
      claimId: clm(1),
      error: 'temporarily_unavailable',
      httpStatus: 503,
      nextAttemptAtMs: afterItsEnd + 30 * secondMs,
      ...data,
    }),
  rejected: (data: Partial<DataOf<'RefreshRejected'>> = {}) =>
    connectionEvent('RefreshRejected', {
      claimId: clm(1),
      credentialVersion: 1,
      error: 'invalid_grant',
      errorDescription: 'grant request is invalid',
      httpStatus: 400,
      ...data,
    }),
  interrupted: (data: Partial<DataOf<'RefreshInterrupted'>> = {}) =>
    connectionEvent('RefreshInterrupted', { claimId: clm(1), credentialVersion: 1, ...data }),
  reauthorizationRequired: (data: Partial<DataOf<'ReauthorizationRequired'>> = {}) =>
    connectionEvent('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: 'invalid_grant', ...data }),
  rotationDue: (data: Partial<DataOf<'RotationDue'>> = {}) =>
    connectionEvent('RotationDue', { credentialVersion: 1, ...data }),
  expiring: (data: Partial<DataOf<'AuthorizationExpiring'>> = {}) =>
    connectionEvent('AuthorizationExpiring', { endsAtMs: tokenEndsMs + 1_000_000 * secondMs, ...data }),
  revoked: (data: Partial<DataOf<'ConnectionRevoked'>> = {}) =>
    connectionEvent('ConnectionRevoked', { cause: 'requested_by_platform', reason: null, evidence: null, ...data }),
  suspected: (data: Partial<DataOf<'RevocationSuspected'>> = {}) =>
    connectionEvent('RevocationSuspected', { credentialVersion: 1, evidence: signalEvidence(), ...data }),
  disproved: (data: Partial<DataOf<'RevocationDisproved'>> = {}) =>
    connectionEvent('RevocationDisproved', { credentialVersion: 1, method: 'probe', ...data }),
  inspected: (data: Partial<DataOf<'InspectionStarted'>> = {}) =>
    connectionEvent('InspectionStarted', { credentialVersion: 1, ...data }),
  scopeInsufficient: (data: Partial<DataOf<'InsufficientScopeReported'>> = {}) =>
    connectionEvent('InsufficientScopeReported', {
      credentialVersion: 1,
      missingScopes: ['contacts.write'],
      error: 'insufficient_scope',
      ...data,
    }),
  claimsRequired: (data: Partial<DataOf<'ClaimsRequired'>> = {}) =>
    connectionEvent('ClaimsRequired', { credentialVersion: 1, claims: '{"access_token":{}}', ...data }),
  upstreamRevoked: (data: Partial<DataOf<'UpstreamRevocationCompleted'>> = {}) =>
    connectionEvent('UpstreamRevocationCompleted', { credentialVersion: 1, method: 'rfc7009', ...data }),
  upstreamFailed: (data: Partial<DataOf<'UpstreamRevocationFailed'>> = {}) =>
    connectionEvent('UpstreamRevocationFailed', { credentialVersion: 1, error: 'timeout', final: false, ...data }),
  suspended: () => connectionEvent('ConnectionSuspended', { reason: null }),
  resumed: () => connectionEvent('ConnectionResumed', { reason: null }),
  deletionRequested: () => connectionEvent('DeletionRequested', { reason: null }),
  keyShredded: () => connectionEvent('ConnectionKeyShredded', {}),
  epochClosed: (data: Partial<DataOf<'EpochClosed'>> = {}) =>
    connectionEvent('EpochClosed', { epoch: 1, nextEpoch: 2, authorization: 'authorized', ...data }),
};

/** Where a signal stands; it happened a minute after the beginning unless told otherwise. */
export const signalEvidence = (more: Partial<SignalEvidence> = {}): SignalEvidence => ({
  source: providerId,
  type: 'tokens_revoked',
  deliveryId: 'Ev1',
  position: 7,
  occurredAtMs: whileItLives,
  receivedAtMs: whileItLives + secondMs,
  matchedBy: 'team_bot',
  ...more,
});

const polling: DataOf<'DevicePollingStarted'> = {
  sessionId: ses(1),
  pollerId: 'poller-1',
  pollingUntilMs: startMs + 30 * secondMs,
  intervalS: 5,
};

const granted: DataOf<'ConnectionAuthorized'> = {
  sessionId: ses(1),
  credentialVersion: 1,
  grantedScopes: ['contacts.read', 'offline_access'],
  accessTokenExpiresAtMs: tokenEndsMs,
  hasRefreshToken: true,
  accountDigest: 'digest-of-account',
};

/** The beginnings of most specifications. */
export const exchanging = [the.sessionStarted(), the.exchangeStarted()];
/** A session whose end user was shown a user code. */
export const polled = [the.sessionStarted({ grant: 'device_code' }), the.deviceStarted()];
export const connected = [...exchanging, the.authorized()];
export const withoutRefreshToken = [...exchanging, the.authorized({ hasRefreshToken: false })];
/** A connection in which no browser had a part. */
export const established = [
  the.establishmentStarted(),
  the.authorized({ grant: 'client_credentials', hasRefreshToken: false, accountDigest: null }),
];
export const claimed = [...connected, the.claimed()];
export const released = [...claimed, the.released()];
export const interrupted = [...released, the.interrupted()];
export const retrying = [...interrupted, the.claimed({ claimId: clm(2) }), the.released(clm(2))];
export const rejected = [...released, the.rejected(), the.reauthorizationRequired()];
export const revoked = [...connected, the.revoked()];
export const reauthorized = [
  the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize' }),
  the.exchangeStarted(ses(2)),
  the.reauthorized(),
];

export const { given, stateOf, metaAt } = specification(connectionEvolver, connectionId);
