import {
  afterItsEnd,
  claimed,
  claimTimeoutMs,
  clm,
  connected,
  exchanging,
  given,
  interrupted,
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
import { refusalOf, secondMs } from '../spec-support/given.ts';
import { requireReauthorization, startRefresh, type RequireReauthorization, type StartRefresh } from './refresh.ts';

const start = (more: Partial<StartRefresh> = {}): StartRefresh => ({
  claimId: clm(9),
  claimTimeoutMs,
  reason: 'expired',
  nowMs: afterItsEnd,
  ...more,
});
const claim = (more: Parameters<typeof the.claimed>[0] = {}) =>
  the.claimed({ claimId: clm(9), claimExpiresAtMs: afterItsEnd + claimTimeoutMs, ...more });

const finding = (more: Partial<RequireReauthorization> = {}): RequireReauthorization => ({
  cause: 'refresh_rejected',
  evidence: 'invalid_grant',
  credentialVersion: 1,
  nowMs: afterItsEnd,
  ...more,
});

describe('claiming', () => {
  test('the claim is an event, before anything is spent', () => {
    given(connected).when(startRefresh, start()).then([claim()]);
  });

  test('no second claim while one stands', () => {
    given(claimed).when(startRefresh, start()).thenNothing();
    given(released).when(startRefresh, start()).thenNothing();
  });

  test('a claim whose time is over still stands until somebody says that it ended', () => {
    given(released)
      .when(startRefresh, start({ nowMs: tokenEndsMs + 3_600 * secondMs }))
      .thenNothing();
  });

  test.each([
    ['none', [], 'connection.not_found'],
    ['pending', exchanging, 'connection.not_authorized'],
    ['revoked', revoked, 'connection.revoked'],
    ['deleted', [...connected, the.deletionRequested()], 'connection.deleted'],
    ['suspended', [...connected, the.suspended()], 'connection.suspended'],
    ['to be re-authorized', rejected, 'connection.reauthorization_required'],
  ] as const)('a connection that is %s is not refreshed', (_name, history, code) => {
    given(history).when(startRefresh, start()).thenRefused(code);
  });

  test('without a refresh token there is nothing to spend', () => {
    given(withoutRefreshToken)
      .when(startRefresh, start({ reason: 'requested', nowMs: whileItLives }))
      .thenRefused('refresh.not_possible');
  });

  test('without a refresh token the end of the access token is the end', () => {
    given(withoutRefreshToken)
      .when(startRefresh, start())
      .then([the.reauthorizationRequired({ cause: 'refresh_token_missing', evidence: null })]);
  });

  test('a token that was refreshed meanwhile is not refreshed again', () => {
    given([...released, the.refreshed()])
      .when(startRefresh, start())
      .thenNothing();
    given([...released, the.refreshed()])
      .when(startRefresh, start({ credentialVersion: 1, reason: 'requested' }))
      .thenNothing();
  });

  test('a token near its end is', () => {
    given(connected)
      .when(startRefresh, start({ nowMs: tokenEndsMs - 5_000 }))
      .then([claim({ claimExpiresAtMs: tokenEndsMs - 5_000 + claimTimeoutMs })]);
  });

  test('a living token is refreshed when its version is named', () => {
    given(connected)
      .when(startRefresh, start({ nowMs: whileItLives, credentialVersion: 1 }))
      .then([claim({ claimExpiresAtMs: whileItLives + claimTimeoutMs })]);
  });

  test('a back-off holds, and a request goes through it', () => {
    const failed = [...released, the.failed()];
    given(failed).when(startRefresh, start()).thenRefused('refresh.unavailable');
    const refusal = refusalOf(() => startRefresh(start(), stateOf(failed)));
    expect(refusal.details.retry_after_s).toBe(30);
    given(failed)
      .when(startRefresh, start({ reason: 'requested' }))
      .then([claim({ reason: 'requested' })]);
    given(failed)
      .when(startRefresh, start({ reason: 'retry', nowMs: afterItsEnd + 30 * secondMs }))
      .then([claim({ reason: 'retry', claimExpiresAtMs: afterItsEnd + 30 * secondMs + claimTimeoutMs })]);
  });

  test('after an interruption not even a request goes before the end of the living token', () => {
    given(interrupted)
      .when(startRefresh, start({ reason: 'requested', nowMs: tokenEndsMs - 1 }))
      .thenRefused('refresh.unavailable');
  });

  test('after an interruption one retry may start when the token has ended', () => {
    given(interrupted)
      .when(startRefresh, start({ reason: 'retry', nowMs: tokenEndsMs }))
      .then([claim({ reason: 'retry', claimExpiresAtMs: tokenEndsMs + claimTimeoutMs })]);
  });

  test('nor before the earlier time that the interruption names', () => {
    const retryAtMs = tokenEndsMs - 1_000;
    const early = [...released, the.interrupted({ retryAtMs })];
    given(early)
      .when(startRefresh, start({ reason: 'requested', nowMs: retryAtMs - 1 }))
      .thenRefused('refresh.unavailable');
    given(early)
      .when(startRefresh, start({ reason: 'retry', nowMs: retryAtMs }))
      .then([claim({ reason: 'retry', claimExpiresAtMs: retryAtMs + claimTimeoutMs })]);
  });

  test('a re-authorization forgets the interruption', () => {
    given([...interrupted, ...reauthorized])
      .when(startRefresh, start({ reason: 'requested', nowMs: whileItLives }))
      .then([claim({ reason: 'requested', credentialVersion: 2, claimExpiresAtMs: whileItLives + claimTimeoutMs })]);
  });
});

describe('requiring a re-authorization', () => {
  const missing = finding({ cause: 'refresh_token_missing', evidence: null });

  test('it is recorded once', () => {
    given(connected).when(requireReauthorization, finding()).then([the.reauthorizationRequired()]);
    given(rejected).when(requireReauthorization, finding()).thenNothing();
  });

  test('a finding about a version that is no longer current proves nothing', () => {
    given([...connected, ...reauthorized])
      .when(requireReauthorization, finding())
      .thenNothing();
  });

  test('while a claim stands its outcome will tell', () => {
    given(released).when(requireReauthorization, finding()).thenNothing();
  });

  test('a missing refresh token matters when the access token has ended', () => {
    given(withoutRefreshToken)
      .when(requireReauthorization, { ...missing, nowMs: whileItLives })
      .thenNothing();
    given(withoutRefreshToken)
      .when(requireReauthorization, missing)
      .then([the.reauthorizationRequired({ cause: 'refresh_token_missing', evidence: null })]);
    given(connected).when(requireReauthorization, missing).thenNothing();
  });

  test('a revoked connection stays revoked', () => {
    given(revoked).when(requireReauthorization, finding()).thenNothing();
  });

  test('an unknown connection is refused', () => {
    given([]).when(requireReauthorization, finding()).thenRefused('connection.not_found');
  });
});
