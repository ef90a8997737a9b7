import {
  afterItsEnd,
  claimed,
  clm,
  connected,
  given,
  interrupted,
  reauthorized,
  rejected,
  released,
  retrying,
  ses,
  stateOf,
  the,
  tokenEndsMs,
} from '../spec-support/connection.ts';
import { secondMs } from '../spec-support/given.ts';
import {
  recordRefreshed,
  recordRefreshFailed,
  recordRefreshRejected,
  refreshOutcomeFate,
  type RecordRefreshed,
} from './refresh-outcome.ts';

const bought = (more: Partial<RecordRefreshed> = {}): RecordRefreshed => ({
  claimId: clm(1),
  credentialVersion: 2,
  grantedScopes: ['contacts.read', 'offline_access'],
  accessTokenExpiresAtMs: tokenEndsMs + 3_600 * secondMs,
  rotated: false,
  nowMs: afterItsEnd,
  ...more,
});
const failure = {
  claimId: clm(1),
  error: 'temporarily_unavailable',
  httpStatus: 503,
  nextAttemptAtMs: afterItsEnd + 30 * secondMs,
  nowMs: afterItsEnd,
};
const rejection = {
  claimId: clm(1),
  error: 'invalid_grant',
  errorDescription: 'grant request is invalid',
  httpStatus: 400,
  nowMs: afterItsEnd,
};
const retryRejected = [...retrying, the.rejected({ claimId: clm(2) }), the.reauthorizationRequired()];
const givenUp = [
  ...retrying,
  the.interrupted({ claimId: clm(2) }),
  the.reauthorizationRequired({ cause: 'refresh_interrupted', evidence: null }),
];

describe('a refresh that succeeded', () => {
  test('it is recorded as the next version', () => {
    given(released).when(recordRefreshed, bought()).then([the.refreshed()]);
    const state = given(released).when(recordRefreshed, bought()).thenState();
    expect(state).toMatchObject({ claim: null, credential: { version: 2, boughtBy: clm(1) } });
  });

  test('a rotation is an event of its own', () => {
    given(released)
      .when(recordRefreshed, bought({ rotated: true }))
      .then([the.refreshed(), the.rotated()]);
  });

  test('scopes that shrank or grew are told, and count from then on', () => {
    const grantedScopes = ['offline_access', 'profile'];
    const drift = { lostScopes: ['contacts.read'], gainedScopes: ['profile'] };
    given(released)
      .when(recordRefreshed, bought({ grantedScopes, rotated: true }))
      .then([the.refreshed({ grantedScopes }), the.rotated(), the.scopeDrift(drift)]);
    const state = given(released).when(recordRefreshed, bought({ grantedScopes })).thenState();
    expect(state.credential?.grantedScopes).toEqual(grantedScopes);
    expect(state.health.status).toBe('ok');
  });

  test('the same scopes in another order are no drift, and a drift is told once', () => {
    const grantedScopes = ['offline_access', 'contacts.read'];
    given(released)
      .when(recordRefreshed, bought({ grantedScopes }))
      .then([the.refreshed({ grantedScopes })]);
    const fewer = { grantedScopes: ['offline_access'] };
    const next = { claimId: clm(2), credentialVersion: 3 };
    const drifted = [...released, the.refreshed(fewer), the.scopeDrift()];
    given([...drifted, the.claimed({ claimId: clm(2), credentialVersion: 2 }), the.released(clm(2))])
      .when(recordRefreshed, bought({ ...fewer, ...next }))
      .then([the.refreshed({ ...fewer, ...next })]);
  });

  test('a success ends a degradation', () => {
    const failed = [...released, the.failed(), the.claimed({ claimId: clm(2) }), the.released(clm(2))];
    const state = given(failed)
      .when(recordRefreshed, bought({ claimId: clm(2) }))
      .thenState();
    expect(state.health).toEqual({ status: 'ok', reason: null, failingSinceMs: null, nextAttemptAtMs: null });
  });

  test('a repeat is no event', () => {
    given([...released, the.refreshed()])
      .when(recordRefreshed, bought())
      .thenNothing();
  });

  test('a late answer of an interrupted claim is welcome while its version is current', () => {
    given(interrupted).when(recordRefreshed, bought()).then([the.refreshed()]);
    const state = given(retrying).when(recordRefreshed, bought()).thenState();
    expect(state).toMatchObject({ claim: null, interrupted: null, credential: { version: 2 } });
  });

  test('a claim that nobody knows is not welcome beside one that was interrupted', () => {
    given(interrupted)
      .when(recordRefreshed, bought({ claimId: clm(3) }))
      .thenNothing();
  });

  test('an interruption of another version makes no claim welcome', () => {
    given([...connected, the.interrupted({ credentialVersion: 7 })])
      .when(recordRefreshed, bought())
      .thenNothing();
  });

  test('it is not when a newer version is', () => {
    given([...retrying, the.refreshed({ claimId: clm(2) })])
      .when(recordRefreshed, bought({ credentialVersion: 3 }))
      .thenNothing();
  });

  test('the retry that lost against the late answer is not recorded', () => {
    given([...retrying, the.refreshed()])
      .when(recordRefreshed, bought({ claimId: clm(2), credentialVersion: 3 }))
      .thenNothing();
  });

  test('a late success heals what a retry could not know', () => {
    const state = given(givenUp).when(recordRefreshed, bought()).thenState();
    expect(state).toMatchObject({ authorization: 'authorized', reauthorizationCause: null, evidence: null });
    expect(
      given(retryRejected)
        .when(recordRefreshed, bought({ rotated: true }))
        .thenState().authorization,
    ).toBe('authorized');
  });

  test('a refresh token that was rejected after it was spent without rotation stays dead', () => {
    given(retryRejected).when(recordRefreshed, bought()).thenNothing();
  });

  test('an older version never overwrites a newer one', () => {
    given(released)
      .when(recordRefreshed, bought({ credentialVersion: 1 }))
      .thenNothing();
  });

  test('without a release nothing can have been bought', () => {
    given(claimed).when(recordRefreshed, bought()).thenRefused('refresh.not_released');
  });

  test.each([
    ['a re-authorization', [...released, ...reauthorized]],
    ['a revocation', [...released, the.revoked()]],
    ['a deletion', [...released, the.deletionRequested()]],
    ['a transient failure', [...released, the.failed()]],
    ['a rejection', rejected],
  ] as const)('the outcome of a claim that ended by %s is no event', (_name, history) => {
    given(history)
      .when(recordRefreshed, bought({ credentialVersion: 3, rotated: true }))
      .thenNothing();
  });
});

describe('what becomes of fresh tokens', () => {
  const reexchange = [the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize' }), the.exchangeStarted(ses(2))];

  test.each([
    ['of a standing claim', released, 'welcome'],
    ['of an interrupted claim', interrupted, 'welcome'],
    ['recorded already', [...released, the.refreshed()], 'recorded'],
    ['after a revocation', [...released, the.revoked()], 'revoke'],
    ['after a deletion', [...released, the.deletionRequested()], 'revoke'],
    ['after a re-authorization', [...released, ...reauthorized], 'drop'],
    ['after a revocation, while a new authorization is exchanged', [...released, the.revoked(), ...reexchange], 'drop'],
    ['of nobody', connected, 'drop'],
  ] as const)('tokens %s', (_name, history, fate) => {
    expect(refreshOutcomeFate(stateOf(history), { claimId: clm(1) })).toBe(fate);
  });
});

describe('a refresh that failed', () => {
  test('the connection is degraded, since the first of the failures', () => {
    given(released).when(recordRefreshFailed, failure).then([the.failed()]);
    const said = { errorDescription: 'down until noon' };
    given(released)
      .when(recordRefreshFailed, { ...failure, ...said })
      .then([the.failed(said)]);
    const once = given(released).when(recordRefreshFailed, failure).thenState();
    expect(once).toMatchObject({
      authorization: 'authorized',
      claim: null,
      health: { status: 'degraded', reason: 'temporarily_unavailable', nextAttemptAtMs: failure.nextAttemptAtMs },
    });
    const twice = stateOf([
      ...released,
      the.failed(),
      the.claimed({ claimId: clm(2) }),
      the.failed({ claimId: clm(2) }),
    ]);
    expect(twice.health.failingSinceMs).toBe(once.health.failingSinceMs);
  });

  test('it may fail before anything was released', () => {
    given(claimed).when(recordRefreshFailed, failure).then([the.failed()]);
  });

  test.each([
    ['ended', [...released, the.failed()]],
    ['been interrupted', interrupted],
    ['been revoked', [...released, the.revoked()]],
    ['been re-authorized', [...released, ...reauthorized]],
  ] as const)('the failure of a claim that has %s is no event', (_name, history) => {
    given(history).when(recordRefreshFailed, failure).thenNothing();
  });
});

describe('a refresh that was rejected', () => {
  test('only the end user can help', () => {
    given(released).when(recordRefreshRejected, rejection).then([the.rejected(), the.reauthorizationRequired()]);
    const state = given(released).when(recordRefreshRejected, rejection).thenState();
    expect(state).toMatchObject({
      authorization: 'reauthorization_required',
      reauthorizationCause: 'refresh_rejected',
      evidence: 'invalid_grant',
      claim: null,
    });
  });

  test.each([
    ['a version that is no longer current', [...retrying, the.refreshed({ claimId: clm(2) })]],
    ['a re-authorized connection', [...released, ...reauthorized]],
    ['a revoked connection', [...released, the.revoked()]],
    ['a claim that has ended', rejected],
    ['an interrupted claim whose retry is under way', retrying],
  ] as const)('a rejection of %s proves nothing', (_name, history) => {
    given(history).when(recordRefreshRejected, rejection).thenNothing();
  });

  test('a late rejection of an interrupted claim counts while nobody else spends the token', () => {
    given(interrupted).when(recordRefreshRejected, rejection).then([the.rejected(), the.reauthorizationRequired()]);
  });

  test('without a release nothing can have been rejected', () => {
    given(claimed).when(recordRefreshRejected, rejection).thenRefused('refresh.not_released');
  });
});
