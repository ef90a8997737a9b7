import {
  afterItsEnd,
  claimed,
  clm,
  connected,
  exchanging,
  given,
  interrupted,
  reauthorized,
  released,
  retrying,
  stateOf,
  the,
  tokenEndsMs,
} from '../spec-support/connection.ts';
import { secondMs } from '../spec-support/given.ts';
import { claimReleased, interruptedClaims, interruptRefresh, isClaimLive, releaseRefreshToken } from './claim.ts';

const claimEndsMs = tokenEndsMs + 90 * secondMs;
const release = { claimId: clm(1), nowMs: afterItsEnd };
const interrupt = { claimId: clm(1), nowMs: claimEndsMs };

describe('releasing the refresh token', () => {
  test('it is released to the live claim', () => {
    given(claimed).when(releaseRefreshToken, release).then([the.released()]);
  });

  test('a repeat is no event', () => {
    given(released).when(releaseRefreshToken, release).thenNothing();
  });

  test('a claim ends at its instant', () => {
    given(claimed)
      .when(releaseRefreshToken, { ...release, nowMs: claimEndsMs - 1 })
      .then([the.released()]);
    given(claimed)
      .when(releaseRefreshToken, { ...release, nowMs: claimEndsMs })
      .thenRefused('refresh.claim_lost');
    given(released)
      .when(releaseRefreshToken, { ...release, nowMs: claimEndsMs })
      .thenRefused('refresh.claim_lost');
  });

  test.each([
    ['no claim', connected],
    ['no connection', []],
    ['another claim', [...connected, the.claimed({ claimId: clm(2) })]],
    ['a claim that failed', [...claimed, the.failed()]],
    ['an interrupted claim', interrupted],
    ['a claim from before a re-authorization', [...claimed, ...reauthorized]],
    ['a claim from before a revocation', [...claimed, the.revoked()]],
    ['a claim from before a deletion', [...claimed, the.deletionRequested()]],
    ['a claim beside a re-authorization that is required', [...claimed, the.reauthorizationRequired()]],
    ['a claim on another version than the current', [...connected, the.claimed({ credentialVersion: 7 })]],
  ] as const)('it is not released for %s', (_name, history) => {
    given(history).when(releaseRefreshToken, release).thenRefused('refresh.claim_lost');
  });

  test('a suspension leaves the claim that stands', () => {
    given([...claimed, the.suspended()])
      .when(releaseRefreshToken, release)
      .then([the.released()]);
  });
});

test('claims are undecided as long as the version is current whose refresh token they had', () => {
  expect(interruptedClaims(stateOf(released))).toEqual([]);
  expect(interruptedClaims(stateOf(interrupted))).toEqual([clm(1)]);
  expect(interruptedClaims(stateOf([...interrupted, the.rejected({ claimId: clm(2) })]))).toEqual([clm(1)]);
  expect(interruptedClaims({ ...stateOf(interrupted), credential: stateOf(reauthorized).credential })).toEqual([]);
});

describe('interrupting a refresh', () => {
  test("a dead worker's claim passes on at the instant it ends", () => {
    given(released)
      .when(interruptRefresh, { ...interrupt, nowMs: claimEndsMs - 1 })
      .thenNothing();
    given(released).when(interruptRefresh, interrupt).then([the.interrupted()]);
  });

  test('who has seen the claim over need not wait for the wall clock', () => {
    given(released)
      .when(interruptRefresh, { ...interrupt, nowMs: afterItsEnd, claimSeenOver: true })
      .then([the.interrupted()]);
  });

  test('a claim that was never released simply failed, and may be retried at once', () => {
    const data = { claimId: clm(1), error: 'claim_expired_unreleased', httpStatus: null, nextAttemptAtMs: claimEndsMs };
    given(claimed)
      .when(interruptRefresh, interrupt)
      .then([{ type: 'RefreshFailed', version: 1, data }]);
  });

  test('an interruption leaves the living token and puts the retry at its end', () => {
    const state = stateOf([...exchanging, the.authorized(), the.claimed(), the.released(), the.interrupted()]);
    expect(state).toMatchObject({
      authorization: 'authorized',
      claim: null,
      interrupted: { credentialVersion: 1, claimIds: [clm(1)] },
      health: { status: 'degraded', reason: 'refresh_interrupted', nextAttemptAtMs: tokenEndsMs },
    });
  });

  test('the retry comes earlier where the refresh token would end unused before', () => {
    const leftMs = 600 * secondMs;
    const early = { ...interrupt, nowMs: tokenEndsMs - leftMs, claimSeenOver: true };
    const retryAtMs = tokenEndsMs - leftMs / 2;
    given(released)
      .when(interruptRefresh, { ...early, restEndsAtMs: tokenEndsMs })
      .then([the.interrupted({ retryAtMs })]);
    given(released)
      .when(interruptRefresh, { ...early, restEndsAtMs: tokenEndsMs + leftMs })
      .then([the.interrupted()]);
    const { interrupted: remembered, health } = stateOf([...released, the.interrupted({ retryAtMs })]);
    expect(remembered).toEqual({ credentialVersion: 1, claimIds: [clm(1)], retryAtMs });
    expect(health.nextAttemptAtMs).toBe(retryAtMs);
  });

  test('when the one retry is interrupted too, only the end user can help', () => {
    given(retrying)
      .when(interruptRefresh, { ...interrupt, claimId: clm(2) })
      .then([
        the.interrupted({ claimId: clm(2) }),
        the.reauthorizationRequired({ cause: 'refresh_interrupted', evidence: null }),
      ]);
  });

  test('an interruption of an earlier version does not count against the next', () => {
    const next = [
      ...retrying,
      the.refreshed({ claimId: clm(2) }),
      the.claimed({ claimId: clm(3), credentialVersion: 2 }),
      the.released(clm(3)),
    ];
    given(next)
      .when(interruptRefresh, { ...interrupt, claimId: clm(3) })
      .then([the.interrupted({ claimId: clm(3), credentialVersion: 2 })]);
  });

  test('a claim that has ended is not interrupted', () => {
    given(interrupted).when(interruptRefresh, interrupt).thenNothing();
    given([...released, the.refreshed()])
      .when(interruptRefresh, interrupt)
      .thenNothing();
    given([...released, the.revoked()])
      .when(interruptRefresh, interrupt)
      .thenNothing();
  });

  test('only the named claim is interrupted', () => {
    given(released)
      .when(interruptRefresh, { ...interrupt, claimId: clm(2) })
      .thenNothing();
  });
});

describe('claiming with the release', () => {
  const command = { claimId: clm(1), claimTimeoutMs: 30 * secondMs, credentialVersion: 1, nowMs: afterItsEnd };

  test('what is planned is claimed and released in one decision', () => {
    const state = stateOf(connected);
    const events = claimReleased(command, state);
    expect(events.map(({ type }) => type)).toEqual(['RefreshStarted', 'RefreshTokenReleased']);
    expect(stateOf([...connected, ...events]).claim).toEqual({
      ...{ claimId: clm(1), credentialVersion: 1, released: true, expiresAtMs: afterItsEnd + 30 * secondMs },
    });
  });

  test.each([
    ['a claim stands, be it this one', claimed, 'refresh.claim_lost'],
    ['it was released to this claim before', released, 'refresh.claim_lost'],
    ['another version is current', [...claimed, the.released(), the.refreshed()], 'refresh.claim_lost'],
    ['it is suspended', [...connected, the.suspended()], 'connection.suspended'],
    ['it is revoked', [...connected, the.revoked()], 'connection.revoked'],
    ['there is no connection', [], 'connection.not_found'],
  ] as const)('nothing is where %s', (_name, history, code) => {
    given(history).when(claimReleased, command).thenRefused(code);
  });

  test('nor before the next attempt is due, nor where only its end could be told', () => {
    given([...claimed, the.failed({ nextAttemptAtMs: afterItsEnd + 1 })])
      .when(claimReleased, command)
      .thenRefused('refresh.unavailable');
    given([...exchanging, the.authorized({ hasRefreshToken: false })])
      .when(claimReleased, command)
      .thenRefused('refresh.claim_lost');
  });
});

test('a claim is live from its start to its instant', () => {
  expect(isClaimLive(stateOf(connected), afterItsEnd)).toBe(false);
  expect(isClaimLive(stateOf(claimed), afterItsEnd)).toBe(true);
  expect(isClaimLive(stateOf(claimed), claimEndsMs)).toBe(false);
});
