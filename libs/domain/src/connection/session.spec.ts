import {
  clm,
  connected,
  endUserDigest,
  exchanging,
  given,
  interrupted,
  ses,
  sessionEndsMs,
  stateOf,
  the,
  tokenEndsMs,
  whileItLives,
} from '../spec-support/connection.ts';
import { codeOf } from '../spec-support/given.ts';
import {
  completeAuthorization,
  completionOf,
  denyAuthorization,
  startCodeExchange,
  type CompleteAuthorization,
} from './session.ts';

const exchange = { sessionId: ses(1), nowMs: whileItLives };
const deny = {
  sessionId: ses(1),
  stage: 'authorization',
  error: 'access_denied',
  errorDescription: null,
  nowMs: whileItLives,
} as const;
const complete = (more: Partial<CompleteAuthorization> = {}): CompleteAuthorization => ({
  sessionId: ses(1),
  endUserDigest,
  credentialVersion: 1,
  grantedScopes: ['contacts.read', 'offline_access'],
  accessTokenExpiresAtMs: tokenEndsMs,
  hasRefreshToken: true,
  accountDigest: 'digest-of-account',
  nowMs: whileItLives,
  ...more,
});
const superseded = [...exchanging, the.sessionStarted({ sessionId: ses(2) })];
const reexchanging = [the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize' }), the.exchangeStarted(ses(2))];
const secondCompletion = complete({ sessionId: ses(2), credentialVersion: 2 });

describe('exchanging the code', () => {
  test('the intention is recorded before the code is spent', () => {
    given([the.sessionStarted()]).when(startCodeExchange, exchange).then([the.exchangeStarted()]);
  });

  test('a replayed callback is refused', () => {
    given(exchanging).when(startCodeExchange, exchange).thenRefused('session.already_used');
  });

  test('the session ends at its instant', () => {
    given([the.sessionStarted()])
      .when(startCodeExchange, { ...exchange, nowMs: sessionEndsMs - 1 })
      .then([the.exchangeStarted()]);
    given([the.sessionStarted()])
      .when(startCodeExchange, { ...exchange, nowMs: sessionEndsMs })
      .thenRefused('session.expired');
  });

  test.each([
    ['no connection', [], 'session.not_found'],
    ['an unknown session', [the.sessionStarted({ sessionId: ses(2) })], 'session.not_found'],
    ['a superseded session', superseded, 'session.superseded'],
    ['a denied session', [the.sessionStarted(), the.denied()], 'session.denied'],
    ['a completed session', connected, 'session.already_used'],
    ['a session from before a revocation', [...exchanging, the.revoked()], 'connection.revoked'],
    ['a deleted connection', [...exchanging, the.deletionRequested()], 'connection.deleted'],
  ] as const)('%s is refused', (_name, history, code) => {
    given(history).when(startCodeExchange, exchange).thenRefused(code);
  });
});

describe('denying', () => {
  test('a denial ends the session and leaves the connection pending', () => {
    const state = given([the.sessionStarted()]).when(denyAuthorization, deny).thenState();
    expect(state).toMatchObject({ session: null, authorization: 'pending' });
  });

  test('a denial leaves an existing authorization alone', () => {
    const state = given([...connected, ...reexchanging])
      .when(denyAuthorization, { ...deny, sessionId: ses(2), stage: 'exchange', error: 'invalid_grant' })
      .thenState();
    expect(state).toMatchObject({ session: null, authorization: 'authorized', credential: { version: 1 } });
  });

  test('a repeated denial is no event', () => {
    given([the.sessionStarted(), the.denied()]).when(denyAuthorization, deny).thenNothing();
  });

  test('an error at the callback cannot end a session whose code came already', () => {
    given(exchanging).when(denyAuthorization, deny).thenRefused('session.already_used');
  });

  test("a provider's own words are kept up to their limit", () => {
    const state = given([the.sessionStarted()]);
    const data = {
      sessionId: ses(1),
      stage: 'authorization',
      error: 'x'.repeat(512),
      errorDescription: 'y'.repeat(512),
    };
    state
      .when(denyAuthorization, { ...deny, error: 'x'.repeat(9_999), errorDescription: 'y'.repeat(9_999) })
      .then([{ type: 'AuthorizationDenied', version: 1, data }]);
  });
});

describe('completing', () => {
  test('a completed session authorizes the connection', () => {
    given(exchanging).when(completeAuthorization, complete()).then([the.authorized()]);
    const state = given(exchanging).when(completeAuthorization, complete()).thenState();
    expect(state).toMatchObject({
      authorization: 'authorized',
      session: null,
      credential: { version: 1, boughtBy: ses(1), refreshedAtMs: null },
    });
  });

  test('a completion of an authorized connection re-authorizes it', () => {
    given([...connected, ...reexchanging])
      .when(completeAuthorization, secondCompletion)
      .then([the.reauthorized()]);
  });

  test('a repeat is no event, also later', () => {
    given(connected).when(completeAuthorization, complete()).thenNothing();
    given([...connected, the.revoked()])
      .when(completeAuthorization, complete({ nowMs: sessionEndsMs + 1 }))
      .thenNothing();
  });

  test('another end user may neither complete nor repeat', () => {
    const mallory = complete({ endUserDigest: 'digest-of-mallory' });
    given(exchanging).when(completeAuthorization, mallory).thenRefused('session.end_user_mismatch');
    given(connected).when(completeAuthorization, mallory).thenRefused('session.end_user_mismatch');
  });

  test('nothing is completed before the provider answered', () => {
    given([the.sessionStarted()]).when(completeAuthorization, complete()).thenRefused('session.code_invalid');
  });

  test('an expired session is not completed', () => {
    given(exchanging)
      .when(completeAuthorization, complete({ nowMs: sessionEndsMs }))
      .thenRefused('session.expired');
  });

  test('a superseded session is not completed', () => {
    given(superseded).when(completeAuthorization, complete()).thenRefused('session.superseded');
  });

  test('a session that began before a revocation does not undo it', () => {
    given([...connected, ...reexchanging, the.revoked()])
      .when(completeAuthorization, secondCompletion)
      .thenRefused('connection.revoked');
  });

  test('a session that began after a revocation undoes it', () => {
    const state = given([...connected, the.revoked(), ...reexchanging])
      .when(completeAuthorization, secondCompletion)
      .thenState();
    expect(state).toMatchObject({
      authorization: 'authorized',
      revokedAtMs: null,
      revocationCause: null,
      upstreamRevocation: null,
    });
  });

  test('an older credential never takes the place of a newer one', () => {
    given([...connected, ...reexchanging])
      .when(completeAuthorization, { ...secondCompletion, credentialVersion: 1 })
      .thenRefused('vault.version_stale');
  });

  test('a re-authorization ends a live claim, forgets an interrupted one and leaves a suspension', () => {
    const state = given([...interrupted, the.claimed({ claimId: clm(2) }), the.suspended(), ...reexchanging])
      .when(completeAuthorization, secondCompletion)
      .thenState();
    expect(state).toMatchObject({ claim: null, interrupted: null, suspended: true, credential: { version: 2 } });
  });

  test('the new registration counts from the completion on', () => {
    const next = {
      sessionId: ses(2),
      purpose: 'reauthorize',
      registrationId: 'reg_01jd0000000000000000000009',
    } as const;
    const history = [...connected, the.sessionStarted(next), the.exchangeStarted(ses(2))];
    expect(stateOf(history).registrationId).not.toBe(next.registrationId);
    expect(given(history).when(completeAuthorization, secondCompletion).thenState().registrationId).toBe(
      next.registrationId,
    );
  });

  test('asking first decides nothing', () => {
    expect(completionOf(stateOf(exchanging), complete())).toBe('completable');
    expect(completionOf(stateOf(connected), complete())).toBe('completed');
    expect(codeOf(() => completionOf(stateOf([]), complete()))).toBe('session.not_found');
  });
});

test('a claim id is never mistaken for a session', () => {
  given(exchanging)
    .when(startCodeExchange, { ...exchange, sessionId: clm(1) })
    .thenRefused('session.not_found');
});

describe('the version of the provider’s file', () => {
  const dataOf = ({ endUserDigest: _digest, nowMs: _nowMs, ...data }: CompleteAuthorization) => data;
  const pinned = [the.sessionStarted({ providerVersion: 4 }), the.exchangeStarted()];

  test('by which the session began is the one that the connection is pinned to', () => {
    given(pinned)
      .when(completeAuthorization, complete())
      .then([the.authorized({ ...dataOf(complete()), providerVersion: 4 })]);
    expect(stateOf([...pinned, the.authorized({ providerVersion: 4 })]).credential?.providerVersion).toBe(4);
  });

  test('moves with a re-authorization, and stays where it is while that is under way', () => {
    const again = [
      ...pinned,
      the.authorized({ providerVersion: 4 }),
      the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize', providerVersion: 5 }),
      the.exchangeStarted(ses(2)),
    ];
    expect(stateOf(again).credential?.providerVersion).toBe(4);
    given(again)
      .when(completeAuthorization, secondCompletion)
      .then([the.reauthorized({ ...dataOf(secondCompletion), providerVersion: 5 })]);
  });
});
