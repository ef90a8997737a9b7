import { limits, newId, type ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, fold, type Connection } from '@postern/domain';

/** The access token of these specifications ends here; it lived an hour. */
export const tokenEndsMs = Date.parse('2025-03-01T12:00:00Z');
export const whileItLives = tokenEndsMs - 600_000;
export const afterItsEnd = tokenEndsMs + 1_000;

export const tenantId = newId('tenant');
export const platformId = newId('platform');
export const connectionId = newId('connection');
export const registrationId = newId('registration');
export const claimId = newId('claim');
const sessionId = newId('session');

type DataOf<T extends ConnectionEvent['type']> = Extract<ConnectionEvent, { type: T }>['data'];
const event = <T extends ConnectionEvent['type']>(type: T, data: DataOf<T>): ConnectionEvent =>
  ({ type, version: 1, data }) as ConnectionEvent;

/** Events of a connection whose first access token ends at `tokenEndsMs`. */
export const the = {
  started: event('AuthorizationStarted', {
    sessionId,
    purpose: 'connect',
    platformId,
    providerId: 'openid-connect',
    registrationId,
    endUserDigest: 'digest',
    requestedScopes: ['contacts:read'],
    returnUrl: 'https://platform.example/return',
    expiresAtMs: tokenEndsMs,
  }),
  exchanging: event('CodeExchangeStarted', { sessionId }),
  authorized: (data: Partial<DataOf<'ConnectionAuthorized'>> = {}) =>
    event('ConnectionAuthorized', {
      sessionId,
      credentialVersion: 1,
      grantedScopes: ['contacts:read'],
      accessTokenExpiresAtMs: tokenEndsMs,
      hasRefreshToken: true,
      accountDigest: null,
      ...data,
    }),
  claimed: (data: Partial<DataOf<'RefreshStarted'>> = {}) =>
    event('RefreshStarted', {
      claimId,
      credentialVersion: 1,
      claimExpiresAtMs: tokenEndsMs + limits.claimTimeoutMs,
      reason: 'expired',
      ...data,
    }),
  released: event('RefreshTokenReleased', { claimId }),
  refreshed: (data: Partial<DataOf<'AccessTokenRefreshed'>> = {}) =>
    event('AccessTokenRefreshed', {
      claimId,
      credentialVersion: 2,
      grantedScopes: ['contacts:read'],
      accessTokenExpiresAtMs: tokenEndsMs + 3_600_000,
      ...data,
    }),
  failed: (nextAttemptAtMs: number) =>
    event('RefreshFailed', { claimId, error: 'http_500', httpStatus: 500, nextAttemptAtMs }),
  interrupted: event('RefreshInterrupted', { claimId, credentialVersion: 1 }),
  rejected: event('RefreshRejected', {
    claimId,
    credentialVersion: 1,
    error: 'invalid_grant',
    errorDescription: null,
    httpStatus: 400,
  }),
  reauthorizationRequired: event('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: 'invalid_grant' }),
  lostInDoubt: event('ReauthorizationRequired', { cause: 'refresh_interrupted', evidence: null }),
  revoked: event('ConnectionRevoked', { cause: 'requested_by_platform', reason: null, evidence: null }),
  suspended: event('ConnectionSuspended', { reason: null }),
};

export const connected: readonly ConnectionEvent[] = [the.started, the.exchanging, the.authorized()];

/** The state after these events, all of one moment. */
export function stateOf(events: readonly ConnectionEvent[], atMs = whileItLives): Connection {
  const meta = { tenantId, aggregateId: connectionId, atMs, actor: { type: 'service' as const } };
  return fold(
    connectionEvolver,
    events.map((one) => ({ event: one, meta })),
  );
}
