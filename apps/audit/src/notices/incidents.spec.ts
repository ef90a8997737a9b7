import { newId, Notification, type ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';

import { noticesOf } from './notices-of.ts';

const [tenantId, connectionId, claimId] = [newId('tenant'), newId('connection'), newId('claim')];
const [platformId, registrationId, sessionId] = [newId('platform'), newId('registration'), newId('session')];
const startMs = Date.parse('2030-01-01T00:00:00Z');
const endsMs = startMs + 3_600_000;

type DataOf<T extends ConnectionEvent['type']> = Extract<ConnectionEvent, { type: T }>['data'];
const event = <T extends ConnectionEvent['type']>(type: T, data: DataOf<T>): ConnectionEvent =>
  ({ type, version: 1, data }) as ConnectionEvent;

const granted = {
  sessionId,
  credentialVersion: 1,
  grantedScopes: ['read', 'write'],
  accessTokenExpiresAtMs: endsMs,
  hasRefreshToken: true,
  accountDigest: null,
};
const authorized = [
  event('AuthorizationStarted', {
    ...{ sessionId, purpose: 'connect', platformId, providerId: 'slack', registrationId, endUserDigest: 'digest' },
    ...{ requestedScopes: ['read', 'write'], returnUrl: 'https://platform.example/', expiresAtMs: endsMs },
  }),
  event('CodeExchangeStarted', { sessionId }),
  event('ConnectionAuthorized', granted),
];
const claimed = event('RefreshStarted', {
  ...{ claimId, credentialVersion: 1, claimExpiresAtMs: endsMs, reason: 'expired' },
});
const failed = event('RefreshFailed', {
  ...{ claimId, error: 'http_503', httpStatus: 503, nextAttemptAtMs: startMs + 60_000 },
});
const refreshed = (grantedScopes = granted.grantedScopes) =>
  event('AccessTokenRefreshed', { claimId, credentialVersion: 2, grantedScopes, accessTokenExpiresAtMs: endsMs });
const drifted = event('ScopeDriftDetected', {
  ...{ claimId, credentialVersion: 2, lostScopes: ['write'], gainedScopes: [] },
});
const rejected = event('RefreshRejected', {
  ...{ claimId, credentialVersion: 1, error: 'invalid_grant', errorDescription: null, httpStatus: 400 },
});
const required = event('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: 'invalid_grant' });

/** What is told at each of these commits, one after the other. */
function toldBy(...commits: (readonly ConnectionEvent[])[]): Notification[][] {
  let state: Connection = connectionEvolver.initialState;
  return commits.map((events, index) => {
    const atMs = startMs + index * 1_000;
    const before = state;
    const meta = { tenantId, aggregateId: connectionId, atMs, actor: { type: 'service' as const } };
    state = events.reduce((folded, one) => connectionEvolver.evolve(folded, one, meta), before);
    const at = new Date(atMs).toISOString();
    const commit = {
      commitId: newId('commit'),
      tenantId,
      aggregateId: connectionId,
      at,
      actor: { type: 'platform' },
      events,
    };
    const entry = { commit, position: index + 1 } as unknown as LogEntry;
    return noticesOf({ entry, before, after: state, reauthorizeUrl: 'https://postern.example/connect/x' });
  });
}
const typesOf = (told: Notification[][]) => told.map((notices) => notices.map(({ type }) => type));

test('an incident is told once when it begins and once when it is over, however often it is tried', () => {
  const told = toldBy(
    authorized,
    [claimed],
    [failed],
    [claimed],
    [failed],
    [claimed],
    [failed],
    [claimed],
    [refreshed()],
  );
  expect(typesOf(told)).toEqual([
    ...[['connection.authorized'], [], ['connection.health_changed'], [], [], [], [], []],
    ['connection.health_changed'],
  ]);
  expect(told[2]?.[0]).toMatchObject({
    health: 'degraded',
    cause: 'http_503',
    next_attempt_at: '2030-01-01T00:01:00.000Z',
    reauthorize_url: null,
  });
  expect(told[8]?.[0]).toMatchObject({ health: 'ok', cause: null });
  expect(told[8]?.[0]).not.toHaveProperty('next_attempt_at');
});

test('the next incident is told again', () => {
  const told = toldBy(authorized, [failed], [refreshed()], [failed], [failed]);
  expect(typesOf(told).slice(1)).toEqual([
    ...[['connection.health_changed'], ['connection.health_changed'], ['connection.health_changed'], []],
  ]);
});

test('an incident that ends with the grant is told by what follows from it, and so is one that a person ends', () => {
  const told = toldBy(authorized, [failed], [rejected, required]);
  expect(typesOf(told)[2]).toEqual(['connection.reauthorization_required']);
  expect(told[2]?.[0]).toMatchObject({
    evidence: 'invalid_grant',
    reauthorize_url: 'https://postern.example/connect/x',
  });
  const next = newId('session');
  const again = [
    event('AuthorizationStarted', {
      ...{ sessionId: next, purpose: 'reauthorize', platformId, providerId: 'slack', registrationId },
      ...{ endUserDigest: 'digest', requestedScopes: [], returnUrl: 'https://platform.example/', expiresAtMs: endsMs },
    }),
    event('CodeExchangeStarted', { sessionId: next }),
    event('ConnectionReauthorized', { ...granted, sessionId: next, credentialVersion: 2 }),
  ];
  expect(typesOf(toldBy(authorized, [failed], again))[2]).toEqual(['connection.authorized']);
});

test('a first refusal is told once, though it also degrades', () => {
  expect(typesOf(toldBy(authorized, [rejected, required]))[1]).toEqual(['connection.reauthorization_required']);
});

test('a drift of scopes is told with what was lost, also when the same refresh ends an incident', () => {
  const told = toldBy(authorized, [failed], [refreshed(['read']), drifted]);
  expect(typesOf(told)[2]).toEqual(['scope.drift_detected', 'connection.health_changed']);
  expect(told[2]?.[0]).toMatchObject({ health: 'ok', scopes: { granted: ['read'], lost: ['write'], gained: [] } });
});

test('a move to a later epoch tells nothing: the incident goes along', () => {
  const degraded = [...authorized, failed].reduce<Connection>(
    (state, one) =>
      connectionEvolver.evolve(state, one, {
        ...{ tenantId, aggregateId: connectionId, atMs: startMs, actor: { type: 'service' } },
      }),
    connectionEvolver.initialState,
  );
  const opened = event('EpochOpened', {
    ...{ epoch: 2, previousEpoch: 1, previousRevision: 4, previousHash: 'a'.repeat(64) },
    state: degraded as DataOf<'EpochOpened'>['state'],
  });
  expect(typesOf(toldBy([opened], [failed]))).toEqual([[], []]);
});

test('every notification is one of the contract', () => {
  const all = toldBy(authorized, [failed], [refreshed(['read']), drifted], [rejected, required]).flat();
  expect(all.length).toBe(5);
  for (const notice of all) expect(Notification.parse(notice)).toEqual(notice);
});

describe('the end of a connection', () => {
  const notice = (revoked: DataOf<'ConnectionRevoked'>) =>
    toldBy(authorized, [event('ConnectionRevoked', revoked)])[1]?.map((one) => Notification.parse(one));

  test('by a person is told once, with who asked, why, when, and where to authorize again', () => {
    expect(notice({ cause: 'requested_by_platform', reason: 'the customer left', evidence: null })).toMatchObject([
      {
        ...{ type: 'connection.revoked', at: new Date(startMs + 1_000).toISOString(), health: 'revoked' },
        ...{ cause: 'requested_by_platform', evidence: null, reauthorize_url: 'https://postern.example/connect/x' },
        revocation: { by: 'platform', reason: 'the customer left', signal: null },
      },
    ]);
  });

  test('by a signal is told with its evidence, and without whom else it was about', () => {
    const evidence = {
      ...{ source: 'slack', type: 'tokens_revoked', deliveryId: 'Ev1', position: 7, matchedBy: 'team_bot' },
      ...{ occurredAtMs: startMs, receivedAtMs: startMs + 500 },
    };
    const [told, ...more] = notice({ cause: 'revoked_at_provider', reason: null, evidence }) ?? [];
    expect(more).toEqual([]);
    expect(told).toMatchObject({ cause: 'revoked_at_provider', evidence: 'tokens_revoked' });
    expect(told?.revocation).toEqual({
      by: 'provider',
      reason: null,
      signal: {
        ...{ source: 'slack', type: 'tokens_revoked' },
        ...{ occurred_at: new Date(startMs).toISOString(), received_at: new Date(startMs + 500).toISOString() },
      },
    });
  });
});
