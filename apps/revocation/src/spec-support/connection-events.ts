import type { Grant } from '@postern/contracts';
import type { AnyEvent } from '@postern/event-log';

interface Session {
  readonly sessionId: string;
  readonly platformId: string;
  readonly registrationId: string;
  readonly providerId?: string;
  readonly expiresAtMs?: number;
}

interface Authorized {
  readonly sessionId: string;
  readonly credentialVersion?: number;
  readonly accountDigest?: string | null;
  readonly accountKeys?: Record<string, string>;
  readonly hasRefreshToken?: boolean;
  readonly grant?: Grant;
  readonly accessTokenExpiresAtMs?: number | null;
}

const event = (type: string, data: Record<string, unknown>): AnyEvent => ({ type, version: 1, data });
const hourMs = 3_600_000;

/** What `authorization` and `revocation` say of a connection. */
export const the = {
  sessionStarted: (session: Session, purpose: 'connect' | 'reauthorize' = 'connect') =>
    event('AuthorizationStarted', {
      purpose,
      providerId: 'openid-connect',
      endUserDigest: 'digest-of-a-user',
      requestedScopes: ['contacts:read'],
      returnUrl: 'https://platform.example/return',
      expiresAtMs: Date.now() + hourMs,
      ...session,
    }),
  exchangeStarted: (sessionId: string) => event('CodeExchangeStarted', { sessionId }),
  authorized: ({
    sessionId,
    credentialVersion = 1,
    accountDigest = null,
    accountKeys,
    hasRefreshToken = true,
    grant,
    accessTokenExpiresAtMs = Date.now() + hourMs,
  }: Authorized) =>
    event(credentialVersion === 1 ? 'ConnectionAuthorized' : 'ConnectionReauthorized', {
      sessionId,
      credentialVersion,
      grantedScopes: ['contacts:read'],
      accessTokenExpiresAtMs,
      hasRefreshToken,
      accountDigest,
      ...(accountKeys === undefined ? {} : { accountKeys }),
      ...(grant === undefined ? {} : { grant }),
    }),
  revoked: () => event('ConnectionRevoked', { cause: 'requested_by_platform', reason: null }),
};
