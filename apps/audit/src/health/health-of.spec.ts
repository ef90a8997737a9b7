import { timestampOf } from '@postern/contracts';

import { failureKindOf } from '../models/failure-kind.ts';
import { facts, hourMs, nowMs } from '../spec-support/health-facts.ts';
import type { HealthFacts } from './health-facts.ts';
import { healthOf } from './health-of.ts';

const never = { lastUsedAtMs: null, refused: {} };
const forEver = { idleTtlS: null, absoluteTtlS: null };
const health = (some: Partial<HealthFacts>, rules: Parameters<typeof healthOf>[1]['rules'] = forEver) =>
  healthOf(facts(some), { use: never, rules, nowMs });

test('of a connection without a user the words say how it is made anew, and send no user anywhere', () => {
  for (const authorization of ['reauthorization_required', 'revoked', 'pending']) {
    const { reason } = health({ authorization, grant: 'client_credentials' });
    expect(reason).toContain('establish it anew (POST /v1/connections)');
    expect(reason).not.toContain('user');
  }
});

describe('the state of a connection, and who can mend it', () => {
  const failing = { failingSinceMs: nowMs - hourMs, failingKind: 'provider_error', failingError: 'http_503' } as const;

  test.each([
    ['nothing fails', {}, 'ok', 'nobody'],
    ['it fails, and its token lives', failing, 'failing', 'provider'],
    ['it fails, and its token has ended', { ...failing, accessEndsAtMs: nowMs - 1 }, 'unusable', 'provider'],
    [
      'what it is derived from is suspended',
      { ...failing, failingKind: 'postern', failingError: 'connection.delegation_ended' },
      'failing',
      'platform',
    ],
    ['the provider limits us', { ...failing, failingKind: 'rate_limited' }, 'failing', 'time'],
    ['our client is refused', { ...failing, failingKind: 'registration_refused' }, 'failing', 'administrator'],
    ['its token ended and nobody refreshed it', { accessEndsAtMs: nowMs - 90_000 }, 'late', 'administrator'],
    ['its refresh is under way for a moment', { accessEndsAtMs: nowMs - 1_000 }, 'ok', 'nobody'],
    [
      'its token ended for good',
      { accessEndsAtMs: nowMs - 1, hasRefreshToken: false },
      'reauthorization_required',
      'end_user',
    ],
    [
      'its token ended, and it is renewed without a refresh token',
      { accessEndsAtMs: nowMs - 90_000, hasRefreshToken: false, grant: 'client_credentials' },
      'late',
      'administrator',
    ],
    [
      'the provider refuses it, and no user stands behind it',
      { authorization: 'reauthorization_required', cause: 'invalid_scope', grant: 'client_credentials' },
      'reauthorization_required',
      'platform',
    ],
    [
      'its grant died',
      { authorization: 'reauthorization_required', cause: 'invalid_grant' },
      'reauthorization_required',
      'end_user',
    ],
    ['it is suspended while its provider is down', { ...failing, suspended: true }, 'suspended', 'platform'],
    ['it was revoked while suspended', { authorization: 'revoked', suspended: true }, 'revoked', 'end_user'],
    ['it was deleted', { authorization: 'deleted' }, 'deleted', 'nobody'],
    ['nobody has authorized it yet', { authorization: 'pending', boughtAtMs: null }, 'pending', 'end_user'],
    ['its authorization ends this week', { authorizationEndsAtMs: nowMs + 24 * hourMs }, 'expiring', 'end_user'],
    ['it lost scopes', { driftedAtMs: nowMs - 1, lostScopes: ['contacts.write'] }, 'narrowed', 'end_user'],
  ] as const)('%s', (_name, some, state, remedy) => {
    expect(health(some)).toMatchObject({ state, remedy });
  });

  test('is told in words: what the provider said, since when, and until when its token is leased', () => {
    const { reason } = health({ ...failing, accessEndsAtMs: nowMs + hourMs });
    expect(reason).toContain('http_503');
    expect(reason).toContain(timestampOf(nowMs - hourMs));
    expect(reason).toContain(timestampOf(nowMs + hourMs));
  });
});

test('clocks come in the order in which they end, also those that only the provider’s rules know', () => {
  const { clocks } = health(
    { accessEndsAtMs: nowMs + hourMs, authorizedAtMs: nowMs - 24 * hourMs, boughtAtMs: nowMs },
    { idleTtlS: 3_600 * 48, absoluteTtlS: 3_600 * 48 },
  );
  expect(clocks).toEqual([
    { clock: 'access_token', ends_at: timestampOf(nowMs + hourMs) },
    { clock: 'authorization', ends_at: timestampOf(nowMs + 24 * hourMs) },
    { clock: 'refresh_token_at_rest', ends_at: timestampOf(nowMs + 48 * hourMs) },
  ]);
});

test('data is as old as the time since which no token can be leased', () => {
  expect(health({}).data_age_s).toBe(0);
  expect(health({ accessEndsAtMs: nowMs - 30_000 }).data_age_s).toBe(30);
  expect(health({ authorization: 'revoked', stateSinceMs: nowMs - 60_000, accessEndsAtMs: nowMs + 1 }).data_age_s).toBe(
    60,
  );
  expect(health({ authorization: 'revoked', stateSinceMs: nowMs, accessEndsAtMs: nowMs - 60_000 }).data_age_s).toBe(60);
  expect(health({ authorization: 'pending', boughtAtMs: null }).data_age_s).toBeNull();
});

test('a refresh lags from the time at which it was due: the next attempt where one failed, else the end of the token', () => {
  expect(health({ accessEndsAtMs: nowMs - 30_000 }).refresh_lag_s).toBe(30);
  expect(health({ accessEndsAtMs: nowMs + 30_000 }).refresh_lag_s).toBe(0);
  const failing = {
    failingSinceMs: nowMs - 50_000,
    failingKind: 'unreachable',
    nextAttemptAtMs: nowMs - 20_000,
  } as const;
  expect(health({ ...failing, accessEndsAtMs: nowMs - 30_000 }).refresh_lag_s).toBe(20);
});

test('errors are counted by kind over an hour and a day', () => {
  const hour = Math.floor(nowMs / hourMs) * hourMs;
  const attempts = [
    { hourMs: hour - 5 * hourMs, ok: 6, failed: { unreachable: 2 } },
    { hourMs: hour, ok: 1, failed: { rate_limited: 1 } },
  ];
  expect(health({ attempts }).windows).toEqual([
    { hours: 1, attempts: 2, error_rate: 0.5, errors: { rate_limited: 1 } },
    { hours: 24, attempts: 10, error_rate: 0.3, errors: { unreachable: 2, rate_limited: 1 } },
  ]);
  expect(health({ attempts: [] }).windows[0]).toMatchObject({ attempts: 0, error_rate: null });
});

test.each([
  ['http_503', 503, 'provider_error'],
  ['invalid_answer', 200, 'provider_error'],
  ['timeout', null, 'unreachable'],
  ['provider.unreachable', null, 'unreachable'],
  ['slow_down', 400, 'rate_limited'],
  ['http_429', 429, 'rate_limited'],
  ['invalid_client', 401, 'registration_refused'],
  ['invalid_grant', 400, 'grant_doubted'],
  ['invalid_request', 400, 'refused'],
  ['vault.database_unavailable', null, 'postern'],
])('a refresh that failed with %s (%s) is trouble of kind %s', (error, httpStatus, kind) => {
  expect(failureKindOf({ error, httpStatus })).toBe(kind);
});
