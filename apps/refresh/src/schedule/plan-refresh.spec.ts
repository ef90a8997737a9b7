import * as fc from 'fast-check';

import { connectionEvolver, refreshLeadShareMax, type Connection, type Credential } from '@postern/domain';

import { afterItsEnd, connected, stateOf, the, tokenEndsMs, whileItLives } from '../spec-support/states.ts';
import { unknownPolicy, planRefresh, type ClockPolicy } from './plan-refresh.ts';
import { scheduleLimits } from './schedule-limits.ts';

const dayS = 86_400;
const hourMs = 3_600_000;
const policy = (more: Partial<ClockPolicy> = {}): ClockPolicy => ({
  ...{ leadS: 300, idleTtlS: null, absoluteTtlS: null },
  ...more,
});
const boughtMs = Date.parse('2026-03-01T00:00:00Z');

function connection(credential: Partial<Credential>, more: Partial<Connection> = {}): Connection {
  return {
    ...connectionEvolver.initialState,
    connectionId: 'con_a',
    authorization: 'authorized',
    credential: {
      version: 1,
      grantedScopes: [],
      accessTokenExpiresAtMs: boughtMs + hourMs,
      hasRefreshToken: true,
      accountDigest: null,
      authorizedAtMs: boughtMs,
      refreshedAtMs: null,
      boughtBy: 'ses_a',
      ...credential,
    },
    ...more,
  };
}
const planned = (credential: Partial<Credential>, more: Partial<ClockPolicy> = {}) =>
  planRefresh(connection(credential), policy(more));

describe('the access token', () => {
  const lives = fc.integer({ min: 5_001, max: 400 * dayS * 1_000 });

  test('is refreshed before its end, by no more than the lead and no more than its share of its life', () => {
    fc.assert(
      fc.property(
        lives,
        fc.integer({ min: 1, max: 7_200 }),
        fc.integer({ min: 1, max: 99 }),
        (lifeMs, leadS, version) => {
          const endsAtMs = boughtMs + lifeMs;
          const { atMs, clock } = planned({ accessTokenExpiresAtMs: endsAtMs, version }, { leadS }) ?? { atMs: 0 };
          const leadMs = Math.floor(Math.min(leadS * 1_000, lifeMs * refreshLeadShareMax));
          expect(clock).toBe('access_token');
          expect(endsAtMs - atMs).toBeLessThanOrEqual(leadMs);
          expect(endsAtMs - atMs).toBeGreaterThanOrEqual(Math.floor(leadMs * (1 - scheduleLimits.jitterShareMax)));
        },
      ),
    );
  });

  test('is renewed ahead of its end without a refresh token, where none is needed, and has no other clock', () => {
    const renewable = { hasRefreshToken: false, grant: 'client_credentials' as const };
    const clocks = { idleTtlS: dayS, absoluteTtlS: 2 * dayS };
    expect(planned(renewable, clocks)).toMatchObject({ clock: 'access_token' });
    expect(planned(renewable)?.atMs).toBeLessThan(boughtMs + hourMs);
    expect(planned({ ...renewable, accessTokenExpiresAtMs: null }, clocks)).toBeUndefined();
  });

  test('has the same time whoever plans and however often, and another one for its next version', () => {
    expect(planned({})).toEqual(planned({}));
    const refreshed = (version: number) => planned({ version, refreshedAtMs: boughtMs });
    expect(refreshed(2)?.atMs).not.toBe(refreshed(3)?.atMs);
  });

  test('of many connections that began together spreads', () => {
    const times = Array.from({ length: 1_000 }, (_, n) => {
      const plan = planRefresh({ ...connection({}), connectionId: `con_${n}` }, policy());
      return plan?.atMs ?? 0;
    });
    const spreadMs = 300_000 * scheduleLimits.jitterShareMax;
    expect(Math.max(...times) - Math.min(...times)).toBeGreaterThan(spreadMs * 0.9);
    const perTenth = Map.groupBy(times, (atMs) => Math.floor(((atMs - Math.min(...times)) * 10) / spreadMs));
    for (const [tenth, members] of perTenth) if (tenth < 10) expect(members.length).toBeLessThan(200);
  });

  test('that ends when it is refreshed is never refreshed before what leases were promised', () => {
    const endedByRefresh = { leadMs: 20_000, graceMs: 0 };
    const { atMs = 0 } = planned({ endedByRefresh }, { leadS: 300 }) ?? {};
    expect(boughtMs + hourMs - atMs).toBeLessThanOrEqual(20_000);
  });

  test('too short-lived to be kept ahead is not chased', () => {
    const plan = planned({ accessTokenExpiresAtMs: boughtMs + 3_000 });
    expect(plan?.atMs).toBe(boughtMs + scheduleLimits.shortLivedPauseMs);
    expect(planned({ accessTokenExpiresAtMs: boughtMs - 1 })?.atMs).toBe(boughtMs + scheduleLimits.shortLivedPauseMs);
  });

  test('that was imported at its end is refreshed at once, and the one after it as any other', () => {
    const imported = { grant: 'imported', accessTokenExpiresAtMs: boughtMs - hourMs } as const;
    expect(planned(imported)).toMatchObject({ clock: 'access_token', atMs: boughtMs });
    const shortLived = { ...imported, refreshedAtMs: boughtMs + hourMs, accessTokenExpiresAtMs: boughtMs + hourMs + 1 };
    expect(planned(shortLived)?.atMs).toBe(boughtMs + hourMs + scheduleLimits.shortLivedPauseMs);
  });

  test('without an end is not refreshed', () => {
    expect(planned({ accessTokenExpiresAtMs: null })).toBeUndefined();
  });

  test('without a refresh token is looked at when it ends, so that its owner is told', () => {
    expect(planned({ hasRefreshToken: false })).toMatchObject({ clock: 'no_refresh_token', atMs: boughtMs + hourMs });
    expect(planned({ hasRefreshToken: false }, { idleTtlS: dayS })?.clock).toBe('no_refresh_token');
  });
});

describe('the refresh token', () => {
  test('that rests is used before it would end, though nobody uses the connection', () => {
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 400 * dayS }), (idleTtlS) => {
        const plan = planned({ accessTokenExpiresAtMs: null }, { idleTtlS });
        const restsMs = (plan?.atMs ?? 0) - boughtMs;
        expect(plan?.clock).toBe('idle');
        expect(restsMs).toBeLessThan(idleTtlS * 1_000);
        expect(restsMs).toBeGreaterThanOrEqual(Math.floor(idleTtlS * 1_000 * (1 - scheduleLimits.idleLeadShareMax)));
      }),
    );
  });

  test.each([
    ['Greenhouse, whose refresh token lives a day', dayS, 19, 23],
    ['Xero, whose refresh token lives sixty days', 60 * dayS, 53 * 24, 56 * 24],
  ])('%s', (_name, idleTtlS, hoursMin, hoursMax) => {
    const hours = ((planned({ accessTokenExpiresAtMs: null }, { idleTtlS })?.atMs ?? 0) - boughtMs) / hourMs;
    expect(hours).toBeGreaterThanOrEqual(hoursMin);
    expect(hours).toBeLessThanOrEqual(hoursMax);
  });

  test('whichever ends first is minded first', () => {
    expect(planned({}, { idleTtlS: dayS })?.clock).toBe('access_token');
    expect(planned({ accessTokenExpiresAtMs: boughtMs + 9 * dayS * 1_000 }, { idleTtlS: dayS })?.clock).toBe('idle');
  });
});

describe('the authorization', () => {
  const absoluteTtlS = 365 * dayS;
  const endless = { accessTokenExpiresAtMs: null };

  test('that ends whatever we do is told of two weeks before, once', () => {
    const atMs = boughtMs + absoluteTtlS * 1_000 - scheduleLimits.authorizationNoticeMs;
    expect(planned(endless, { absoluteTtlS })).toMatchObject({ clock: 'authorization', atMs });
    expect(planned({ ...endless, authorizationEndsAtMs: atMs }, { absoluteTtlS })).toBeUndefined();
    const later = { ...endless, refreshedAtMs: boughtMs + 9 * hourMs };
    expect(planned(later, { absoluteTtlS })?.atMs).toBe(atMs);
  });

  test('of a credential that was made by hand has no end, and an age of which is told once', () => {
    const made = {
      ...endless,
      hasRefreshToken: false,
      grant: 'static' as const,
      rotateAtMs: boughtMs + 90 * dayS * 1_000,
    };
    expect(planned(made, {})).toMatchObject({ clock: 'rotation', atMs: made.rotateAtMs });
    expect(planned({ ...made, rotationDueSinceMs: made.rotateAtMs }, {})).toBeUndefined();
  });

  test('that is short is told of in the last fifth', () => {
    const { atMs = 0 } = planned(endless, { absoluteTtlS: 10 * dayS }) ?? {};
    expect(atMs).toBe(boughtMs + 8 * dayS * 1_000);
  });
});

describe('a connection', () => {
  test.each([
    ['revoked', [...connected, the.revoked]],
    ['suspended', [...connected, the.suspended]],
    ['that needs its user', [...connected, the.claimed(), the.released, the.rejected, the.reauthorizationRequired]],
    ['not connected yet', [the.started]],
    ['of which nothing is known', []],
  ])('%s has no schedule', (_name, events) => {
    expect(planRefresh(stateOf(events), policy())).toBeUndefined();
  });

  test('that failed is tried again when its pause is over, not before', () => {
    fc.assert(
      fc.property(fc.integer({ min: whileItLives, max: afterItsEnd }), (nextAttemptAtMs) => {
        const failing = stateOf([...connected, the.claimed(), the.failed(nextAttemptAtMs)]);
        expect(planRefresh(failing, policy())).toMatchObject({ clock: 'retry', atMs: nextAttemptAtMs });
      }),
    );
  });

  test('whose refresh was interrupted serves its living token to the end first', () => {
    const state = stateOf([...connected, the.claimed(), the.released, the.interrupted]);
    expect(planRefresh(state, policy())).toMatchObject({ clock: 'retry', atMs: tokenEndsMs });
  });

  test('with a claim is looked at when that is over', () => {
    const state = stateOf([...connected, the.claimed()]);
    expect(planRefresh(state, policy())).toMatchObject({ clock: 'claim', atMs: state.claim?.expiresAtMs });
  });

  test('of a provider that left the catalog is refreshed five minutes early, less chance', () => {
    const { atMs = 0 } = planRefresh(connection({}), unknownPolicy) ?? {};
    const leftMs = boughtMs + hourMs - atMs;
    expect(leftMs).toBeLessThanOrEqual(300_000);
    expect(leftMs).toBeGreaterThanOrEqual(300_000 * (1 - scheduleLimits.jitterShareMax));
  });
});
