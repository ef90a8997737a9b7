import {
  afterItsEnd,
  claimed,
  connected,
  exchanging,
  interrupted,
  otherPlatformId,
  owner,
  reauthorized,
  rejected,
  released,
  revoked,
  stateOf,
  the,
  tokenEndsMs,
  whileItLives,
  withoutRefreshToken,
} from '../spec-support/connection.ts';
import { codeOf, refusalOf, secondMs } from '../spec-support/given.ts';
import type { ConnectionEvent } from '@postern/contracts';
import { requireOwnedBy } from './guards.ts';
import { leaseDecision, type LeaseQuestion } from './lease-decision.ts';
import { refreshLeadShareMax } from './refresh-plan.ts';

const ask = (history: readonly ConnectionEvent[], more: Partial<LeaseQuestion> = {}) =>
  leaseDecision(stateOf(history), { ...owner, nowMs: whileItLives, ...more });
const failing = [...released, the.failed()];

describe('a lease', () => {
  test('a living token is granted', () => {
    expect(ask(connected)).toEqual({
      kind: 'grant',
      credentialVersion: 1,
      expiresAtMs: tokenEndsMs,
      grantedScopes: ['contacts.read', 'offline_access'],
      refreshSoon: false,
    });
  });

  test('a token without a known end is granted', () => {
    const endless = [...exchanging, the.authorized({ accessTokenExpiresAtMs: null })];
    expect(ask(endless, { nowMs: afterItsEnd, minTtlMs: 86_400_000 })).toMatchObject({
      kind: 'grant',
      expiresAtMs: null,
      refreshSoon: false,
    });
  });

  test.each([
    ['of an unknown connection', [], 'connection.not_found'],
    ['of a pending connection', exchanging, 'connection.not_authorized'],
    ['of a revoked connection', revoked, 'connection.revoked'],
    ['of a deleted connection', [...connected, the.deletionRequested()], 'connection.deleted'],
    ['of a suspended connection', [...connected, the.suspended()], 'connection.suspended'],
    ['of a connection whose refresh was rejected', rejected, 'connection.reauthorization_required'],
    ['of a revoked and suspended connection', [...revoked, the.suspended()], 'connection.revoked'],
    [
      'of a deleted and suspended connection',
      [...revoked, the.suspended(), the.deletionRequested()],
      'connection.deleted',
    ],
  ] as const)('a lease %s is refused', (_name, history, code) => {
    expect(codeOf(() => ask(history))).toBe(code);
  });

  test("another platform's or tenant's connection looks like none, in every state", () => {
    for (const history of [connected, revoked, rejected, [...connected, the.deletionRequested()]]) {
      const strangers = [{ platformId: otherPlatformId }, { tenantId: 'ten_01jd0000000000000000000009' }];
      for (const stranger of strangers) {
        const refusal = refusalOf(() => ask(history, stranger));
        expect(refusal.code).toBe('connection.not_found');
        expect(refusal.details).toEqual({});
        expect(codeOf(() => requireOwnedBy(stateOf(history), { ...owner, ...stranger }))).toBe('connection.not_found');
      }
    }
  });

  test('an administrator owns every connection of the tenant, and leases none', () => {
    const administrator = { ...owner, platformId: 'administrator' };
    expect(() => requireOwnedBy(stateOf(connected), administrator)).not.toThrow();
    expect(codeOf(() => ask(connected, administrator))).toBe('connection.not_found');
  });

  test('a token that is bound to a key is leased to nobody, living or ended; what is wrong with the connection is said first', () => {
    const byCertificate = [...exchanging, the.authorized({ senderConstrained: 'mtls' })];
    expect(codeOf(() => ask(byCertificate))).toBe('lease.sender_constrained');
    const bound = [...exchanging, the.authorized({ senderConstrained: 'dpop' })];
    expect(codeOf(() => ask(bound))).toBe('lease.sender_constrained');
    expect(codeOf(() => ask(bound, { nowMs: afterItsEnd }))).toBe('lease.sender_constrained');
    expect(codeOf(() => ask([...bound, the.suspended()]))).toBe('connection.suspended');
    expect(ask(bound, { givesNothing: true })).toMatchObject({ kind: 'grant' });
    expect(ask([...bound, ...reauthorized])).toMatchObject({ kind: 'grant' });
  });

  test('after a re-authorization it is granted again', () => {
    expect(ask([...revoked, ...reauthorized])).toMatchObject({ kind: 'grant', credentialVersion: 2 });
  });

  test('a missing scope is named', () => {
    const refusal = refusalOf(() => ask(connected, { scopes: ['contacts.read', 'contacts.write'] }));
    expect(refusal.code).toBe('lease.scope_missing');
    expect(refusal.details.missing_scopes).toEqual(['contacts.write']);
    expect(ask(connected, { scopes: ['contacts.read'] }).kind).toBe('grant');
  });

  test('a refusal carries freshness, and the way out where the end user has it', () => {
    const reauthorizeUrl = 'https://postern.example/connect/con_1';
    expect(refusalOf(() => ask(rejected, { reauthorizeUrl })).details).toMatchObject({
      reauthorize_url: reauthorizeUrl,
      freshness: { health: 'reauthorization_required', reason: 'invalid_grant' },
    });
    expect(refusalOf(() => ask([...connected, the.suspended()], { reauthorizeUrl })).details).not.toHaveProperty(
      'reauthorize_url',
    );
  });
});

describe('a lease and the end of the token', () => {
  test('a token is served to its end and not beyond', () => {
    expect(ask(connected, { nowMs: tokenEndsMs - 1 }).kind).toBe('grant');
    expect(ask(connected, { nowMs: tokenEndsMs })).toEqual({ kind: 'refresh', credentialVersion: 1 });
  });

  test('a token near its end is granted, and refreshed in the background', () => {
    expect(ask(connected, { nowMs: tokenEndsMs - 5_000 })).toMatchObject({ refreshSoon: false });
    expect(ask(connected, { nowMs: tokenEndsMs - 4_999 })).toMatchObject({ kind: 'grant', refreshSoon: true });
    expect(ask(claimed, { nowMs: tokenEndsMs - 4_999 })).toMatchObject({ kind: 'grant', refreshSoon: false });
    expect(ask(withoutRefreshToken, { nowMs: tokenEndsMs - 4_999 })).toMatchObject({ refreshSoon: false });
  });

  test('a valid token is served while refreshing fails', () => {
    expect(ask(failing)).toMatchObject({ kind: 'grant', refreshSoon: false });
    expect(ask(interrupted, { nowMs: tokenEndsMs - 1 })).toMatchObject({ kind: 'grant', refreshSoon: false });
  });

  test('an ended token is not served while refreshing fails', () => {
    const refusal = refusalOf(() => ask(failing, { nowMs: afterItsEnd }));
    expect(refusal.code).toBe('refresh.unavailable');
    expect(refusal.details).toMatchObject({ retry_after_s: 30, freshness: { health: 'degraded' } });
    expect(ask(failing, { nowMs: afterItsEnd + 30 * secondMs }).kind).toBe('refresh');
  });

  test('a lease that meets a live claim waits for its outcome', () => {
    const retrying = [...failing, the.claimed({ reason: 'requested' })];
    expect(ask(retrying, { nowMs: afterItsEnd }).kind).toBe('refresh');
  });

  test('an ended token without a refresh token is put to refresh, which records that it is the end', () => {
    expect(ask(withoutRefreshToken, { nowMs: afterItsEnd }).kind).toBe('refresh');
  });

  test('a token that ends too soon is refreshed, where that helps', () => {
    const minTtlMs = 3_600 * secondMs;
    expect(ask(connected, { minTtlMs }).kind).toBe('refresh');
    expect(codeOf(() => ask(withoutRefreshToken, { minTtlMs }))).toBe('lease.ttl_unavailable');
    expect(codeOf(() => ask(failing, { minTtlMs }))).toBe('lease.ttl_unavailable');
    expect(codeOf(() => ask(interrupted, { minTtlMs }))).toBe('lease.ttl_unavailable');
  });

  test('a token that never lives that long is not refreshed in vain', () => {
    const refreshed = [...released, the.refreshed()];
    expect(codeOf(() => ask(refreshed, { minTtlMs: 86_400 * secondMs }))).toBe('lease.ttl_unavailable');
  });
});

describe('a lease where a refresh ends the token of before', () => {
  const leadMs = 60 * secondMs;
  const graceMs = 10 * secondMs;
  const plannedMs = tokenEndsMs - leadMs;
  const ended = (cut: { leadMs: number; graceMs: number }) => [...exchanging, the.authorized({ endedByRefresh: cut })];
  const ending = ended({ leadMs, graceMs: 0 });
  const until = (history: readonly ConnectionEvent[], nowMs = whileItLives) => {
    const decision = ask(history, { nowMs });
    return decision.kind === 'grant' ? decision.expiresAtMs : decision.kind;
  };

  test('ends with the planned refresh, or what that leaves of the token', () => {
    expect(until(ending)).toBe(plannedMs);
    expect(until(ended({ leadMs, graceMs }))).toBe(plannedMs + graceMs);
    expect(until(ended({ leadMs, graceMs: 600 * secondMs }))).toBe(tokenEndsMs);
    expect(
      until([...exchanging, the.authorized({ endedByRefresh: { leadMs, graceMs: 0 }, hasRefreshToken: false })]),
    ).toBe(tokenEndsMs);
  });

  test('a long lead takes no more than its share of a short life', () => {
    const history = ended({ leadMs: 86_400 * secondMs, graceMs: 0 });
    const lifeMs = tokenEndsMs - (stateOf(history).credential?.authorizedAtMs ?? 0);
    expect(until(history)).toBe(tokenEndsMs - lifeMs * refreshLeadShareMax);
  });

  test('while a refresh is due or under way it is short, and never past the end', () => {
    expect(until(ending, plannedMs + secondMs)).toBe(plannedMs + 6 * secondMs);
    expect(until([...ending, the.claimed({ reason: 'requested' })])).toBe(whileItLives + 5 * secondMs);
    expect(until(ending, tokenEndsMs - secondMs)).toBe(tokenEndsMs);
  });

  test('after a refresh that failed it ends with the next attempt', () => {
    const nextAttemptAtMs = plannedMs + 30 * secondMs;
    const failed = [...ending, the.claimed(), the.released(), the.failed({ nextAttemptAtMs })];
    expect(until(failed, plannedMs + secondMs)).toBe(nextAttemptAtMs);
  });

  test('who wants it longer gets a refresh, if that gives longer', () => {
    const minTtlMs = plannedMs - whileItLives + secondMs;
    expect(ask(ending, { minTtlMs }).kind).toBe('refresh');
    const refreshed = [
      ...ending,
      the.claimed(),
      the.released(),
      the.refreshed({ accessTokenExpiresAtMs: tokenEndsMs }),
    ];
    expect(codeOf(() => ask(refreshed, { minTtlMs: 3_599 * secondMs }))).toBe('lease.ttl_unavailable');
  });
});
