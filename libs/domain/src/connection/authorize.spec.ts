import {
  connected,
  connectionId,
  exchanging,
  given,
  otherPlatformId,
  providerId,
  platformId,
  registrationId,
  endUserDigest,
  revoked,
  ses,
  sessionEndsMs,
  stateOf,
  the,
  whileItLives,
} from '../spec-support/connection.ts';
import { tenantId } from '../spec-support/given.ts';
import { startAuthorization, type StartAuthorization } from './authorize.ts';

const start = (more: Partial<StartAuthorization> = {}): StartAuthorization => ({
  sessionId: ses(2),
  purpose: 'reauthorize',
  platformId,
  providerId,
  registrationId,
  endUserDigest,
  requestedScopes: ['contacts.read'],
  returnUrl: 'https://platform.example/return',
  expiresAtMs: sessionEndsMs,
  nowMs: whileItLives,
  ...more,
});

describe('starting an authorization', () => {
  test('a connect session begins a connection', () => {
    const { nowMs: _nowMs, ...data } = start({ purpose: 'connect' });
    given([])
      .when(startAuthorization, start({ purpose: 'connect' }))
      .then([{ type: 'AuthorizationStarted', version: 1, data }]);
    const state = given([])
      .when(startAuthorization, start({ purpose: 'connect' }))
      .thenState();
    expect(state).toMatchObject({ tenantId, connectionId, authorization: 'pending', session: { stage: 'started' } });
  });

  test.each([
    [
      'what is of high risk is not added to a connection without such',
      ['contacts.read', 'contacts.delete'],
      ['contacts.delete'],
    ],
    ['a scope that is held already is no new risk', ['contacts.read'], ['contacts.read']],
    ['where the tenant keeps nothing apart, it is added', ['contacts.read', 'contacts.delete'], undefined],
  ] as const)('%s', (_name, requestedScopes, highRiskScopes) => {
    const decided = given(connected).when(
      startAuthorization,
      start({ requestedScopes: [...requestedScopes], highRiskScopes }),
    );
    if (highRiskScopes?.[0] === 'contacts.delete') decided.thenRefused('connection.high_risk');
    else expect(decided.thenState().session).toMatchObject({ requestedScopes });
  });

  test('the same session again is no event', () => {
    given([the.sessionStarted()])
      .when(startAuthorization, start({ sessionId: ses(1), purpose: 'connect' }))
      .thenNothing();
  });

  test('a newer session supersedes an open one', () => {
    const state = given(exchanging).when(startAuthorization, start()).thenState();
    expect(state.session?.sessionId).toBe(ses(2));
    expect(state.pastSessions).toEqual([{ sessionId: ses(1), ended: 'superseded' }]);
  });

  test('an ended session does not begin again', () => {
    given(connected)
      .when(startAuthorization, start({ sessionId: ses(1) }))
      .thenRefused('session.already_used');
  });

  test('a re-authorization needs a connection', () => {
    given([]).when(startAuthorization, start()).thenRefused('connection.not_found');
  });

  test('an existing connection is not connected anew', () => {
    given(connected)
      .when(startAuthorization, start({ purpose: 'connect' }))
      .thenRefused('request.malformed');
  });

  test('a revoked connection may be authorized again in place', () => {
    const state = given(revoked).when(startAuthorization, start()).thenState();
    expect(state).toMatchObject({ authorization: 'revoked', session: { sessionId: ses(2) } });
  });

  test('a deleted connection may not', () => {
    given([...connected, the.deletionRequested()])
      .when(startAuthorization, start())
      .thenRefused('connection.deleted');
  });

  test("another platform's connection looks like none", () => {
    given(connected)
      .when(startAuthorization, start({ platformId: otherPlatformId }))
      .thenRefused('connection.not_found');
  });

  test('a connection keeps its end user', () => {
    given(connected)
      .when(startAuthorization, start({ endUserDigest: 'digest-of-mallory' }))
      .thenRefused('session.end_user_mismatch');
  });

  test('a connection keeps its provider', () => {
    given(connected)
      .when(startAuthorization, start({ providerId: 'other' }))
      .thenRefused('request.malformed');
  });

  test('a session that ends before it begins is refused', () => {
    given([])
      .when(startAuthorization, start({ purpose: 'connect', expiresAtMs: whileItLives }))
      .thenRefused('session.expired');
  });

  test('only the newest ended sessions are remembered', () => {
    const many = Array.from({ length: 12 }, (_, n) => the.sessionStarted({ sessionId: ses(n) }));
    const state = stateOf(many);
    expect(state.pastSessions).toHaveLength(8);
    expect(state.pastSessions.at(-1)?.sessionId).toBe(ses(10));
  });
});
