import { newId, type ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';

import { noticesOf } from './notices-of.ts';

const nowMs = Date.parse('2026-05-01T12:00:00Z');
const ends = { leadMs: 60_000, graceMs: 0 };
const connection = (credential: object, more: Partial<Connection> = {}): Connection => ({
  ...connectionEvolver.initialState,
  authorization: 'authorized',
  credential: { version: 1, accessTokenExpiresAtMs: nowMs + 60_000, ...credential } as Connection['credential'],
  ...more,
});
const event = (type: ConnectionEvent['type'], data: object = {}) => ({ type, version: 1, data });

function told(before: Connection, after: Connection, ...events: object[]) {
  const commit = {
    commitId: newId('commit'),
    tenantId: newId('tenant'),
    aggregateId: newId('connection'),
    actor: { type: 'service' },
    events,
  };
  const entry = { commit: { ...commit, at: new Date(nowMs).toISOString() } } as unknown as LogEntry;
  return noticesOf({ entry, before, after, reauthorizeUrl: 'https://postern.example/connect/x' });
}
const typesOf = (...parameters: Parameters<typeof told>) => told(...parameters).map(({ type }) => type);

describe('whoever holds a lease', () => {
  const refreshed = event('AccessTokenRefreshed');

  test('hears that it is superseded where the refresh ended a living token', () => {
    expect(typesOf(connection({ endedByRefresh: ends }), connection({}), refreshed)).toEqual(['lease.superseded']);
  });

  test('hears nothing where it did not, or where nobody can hold a living one', () => {
    expect(typesOf(connection({}), connection({}), refreshed)).toEqual([]);
    const ended = connection({ endedByRefresh: ends, accessTokenExpiresAtMs: nowMs });
    expect(typesOf(ended, connection({}), refreshed)).toEqual([]);
    const outlives = connection({ endedByRefresh: { ...ends, graceMs: 600_000 } });
    expect(typesOf(outlives, connection({}), refreshed)).toEqual([]);
    expect(typesOf(connection({ endedByRefresh: ends }), connection({}), event('RefreshStarted'))).toEqual([]);
  });

  test('hears it beside the news that the connection is well again', () => {
    const health = { status: 'degraded', reason: 'http_503', failingSinceMs: nowMs, nextAttemptAtMs: nowMs } as const;
    const failing = connection({ endedByRefresh: ends }, { health });
    expect(typesOf(failing, connection({}), refreshed)).toEqual(['lease.superseded', 'connection.health_changed']);
  });
});

test('the owner hears when the provider will end the authorization, and where to give it anew', () => {
  const [notice] = told(connection({}), connection({}), event('AuthorizationExpiring', { endsAtMs: nowMs }));
  expect(notice).toMatchObject({
    type: 'connection.authorization_expiring',
    reauthorize_url: 'https://postern.example/connect/x',
  });
});

test('the owner hears that a credential should be replaced, and nobody is sent anywhere for it', () => {
  const [notice, ...more] = told(connection({}), connection({}), event('RotationDue', { credentialVersion: 1 }));
  expect(notice).toMatchObject({ type: 'connection.rotation_due', reauthorize_url: null });
  expect(more).toEqual([]);
});
