import type { EventMeta } from '../evolver.ts';
import type { DataOf } from './events.ts';
import type { Evolvers } from './evolvers.ts';
import { healthy, pastSessionsMax, type Connection, type OpenSession, type PastSession } from './state.ts';

type AuthorizationEventType =
  | 'AuthorizationStarted'
  | 'EstablishmentStarted'
  | 'DeviceAuthorizationStarted'
  | 'DevicePollingStarted'
  | 'DeviceAuthorizationGranted'
  | 'CodeExchangeStarted'
  | 'AuthorizationDenied'
  | 'ConnectionAuthorized'
  | 'ConnectionReauthorized';

/** Closes the open session, if it is this one or no id is given, and remembers how it ended. */
export function endSession(state: Connection, ended: PastSession['ended'], sessionId?: string): Connection {
  const open = state.session;
  if (open === null || (sessionId !== undefined && open.sessionId !== sessionId)) return state;
  const pastSessions = [...state.pastSessions, { sessionId: open.sessionId, ended }].slice(-pastSessionsMax);
  return { ...state, session: null, pastSessions };
}

function sessionOf(data: DataOf<'AuthorizationStarted'>): OpenSession {
  return {
    sessionId: data.sessionId,
    purpose: data.purpose,
    registrationId: data.registrationId,
    requestedScopes: data.requestedScopes,
    returnUrl: data.returnUrl,
    endUserDigest: data.endUserDigest,
    expiresAtMs: data.expiresAtMs,
    stage: 'started',
    ...(data.providerVersion === undefined ? {} : { providerVersion: data.providerVersion }),
    ...(data.grant === undefined ? {} : { grant: data.grant }),
    ...(data.authorizationDetails === undefined ? {} : { authorizationDetails: data.authorizationDetails }),
  };
}

/** There is nothing to go to and nothing to come back from: the provider is being asked. */
function establishmentOf(data: DataOf<'EstablishmentStarted'>, { returnUrl }: Connection): OpenSession {
  return {
    sessionId: data.sessionId,
    purpose: data.purpose,
    registrationId: data.registrationId,
    requestedScopes: data.requestedScopes,
    returnUrl: data.returnUrl ?? returnUrl,
    endUserDigest: data.endUserDigest ?? '',
    expiresAtMs: data.expiresAtMs,
    stage: 'exchanging',
    providerVersion: data.providerVersion,
    grant: data.grant,
    ...(data.delegation === undefined ? {} : { delegation: data.delegation }),
  };
}

type Beginning = Pick<OpenSession, 'registrationId' | 'endUserDigest' | 'returnUrl'> &
  Pick<DataOf<'AuthorizationStarted'>, 'platformId' | 'providerId'>;

function begin(state: Connection, data: Beginning, meta: EventMeta): Connection {
  if (state.authorization !== 'none') return state;
  return {
    ...state,
    tenantId: meta.tenantId,
    connectionId: meta.aggregateId,
    platformId: data.platformId,
    providerId: data.providerId,
    registrationId: data.registrationId,
    endUserDigest: data.endUserDigest,
    returnUrl: data.returnUrl,
    createdAtMs: meta.atMs,
    authorization: 'pending',
  };
}

/** Everything that was wrong before is over: the claim, the revocation, the failures. A suspension stays. */
function authorized(state: Connection, data: DataOf<'ConnectionAuthorized'>, { atMs }: EventMeta): Connection {
  const session = state.session?.sessionId === data.sessionId ? state.session : null;
  return {
    ...endSession(state, 'completed', data.sessionId),
    registrationId: session?.registrationId ?? state.registrationId,
    returnUrl: session?.returnUrl ?? state.returnUrl,
    authorization: 'authorized',
    credential: {
      version: data.credentialVersion,
      grantedScopes: data.grantedScopes,
      accessTokenExpiresAtMs: data.accessTokenExpiresAtMs,
      hasRefreshToken: data.hasRefreshToken,
      accountDigest: data.accountDigest,
      ...(data.accountKeys === undefined ? {} : { accountKeys: data.accountKeys }),
      authorizedAtMs: atMs,
      refreshedAtMs: null,
      boughtBy: data.sessionId,
      ...(data.endedByRefresh === undefined ? {} : { endedByRefresh: data.endedByRefresh }),
      ...(data.providerVersion === undefined ? {} : { providerVersion: data.providerVersion }),
      ...(data.grant === undefined ? {} : { grant: data.grant }),
      ...(data.senderConstrained === undefined ? {} : { senderConstrained: data.senderConstrained }),
      ...(data.delegation === undefined ? {} : { delegation: data.delegation }),
      ...(data.rotateAtMs === undefined ? {} : { rotateAtMs: data.rotateAtMs }),
      ...(data.authorizationDetails === undefined ? {} : { authorizationDetails: data.authorizationDetails }),
    },
    claim: null,
    interrupted: null,
    health: healthy,
    reauthorizationCause: null,
    evidence: null,
    revokedAtMs: null,
    revocationCause: null,
    upstreamRevocation: null,
  };
}

/** Changes the open session, if it is this one. */
function inSession(state: Connection, sessionId: string, change: (session: OpenSession) => OpenSession): Connection {
  const { session } = state;
  return session?.sessionId === sessionId ? { ...state, session: change(session) } : state;
}

function pollingOf({ pollerId, pollingUntilMs, intervalS }: Omit<DataOf<'DevicePollingStarted'>, 'sessionId'>) {
  return { pollerId, pollingUntilMs, intervalS };
}

export const authorizationEvolvers: Evolvers<AuthorizationEventType> = {
  AuthorizationStarted: (state, data, meta) => ({
    ...begin(endSession(state, 'superseded'), data, meta),
    session: sessionOf(data),
  }),
  EstablishmentStarted: (state, data, meta) => {
    const session = establishmentOf(data, state);
    const { platformId, providerId } = data;
    return { ...begin(endSession(state, 'superseded'), { ...session, platformId, providerId }, meta), session };
  },
  DeviceAuthorizationStarted: (state, { sessionId, deviceCodeExpiresAtMs: expiresAtMs, ...asking }) =>
    inSession(state, sessionId, (session) => ({
      ...session,
      stage: 'polling',
      device: { ...pollingOf(asking), expiresAtMs },
    })),
  DevicePollingStarted: (state, { sessionId, ...asking }) =>
    inSession(state, sessionId, (session) =>
      session.device === undefined
        ? session
        : { ...session, device: { ...pollingOf(asking), expiresAtMs: session.device.expiresAtMs } },
    ),
  DeviceAuthorizationGranted: (state, { sessionId, accountDigest, accountKeys, senderConstrained }) =>
    inSession(state, sessionId, (session) => ({
      ...session,
      stage: 'exchanging',
      granted: {
        accountDigest,
        ...(accountKeys === undefined ? {} : { accountKeys }),
        ...(senderConstrained === undefined ? {} : { senderConstrained }),
      },
    })),
  CodeExchangeStarted: (state, { sessionId }) =>
    inSession(state, sessionId, (session) => ({ ...session, stage: 'exchanging' })),
  AuthorizationDenied: (state, { sessionId }) => endSession(state, 'denied', sessionId),
  ConnectionAuthorized: authorized,
  ConnectionReauthorized: authorized,
};
