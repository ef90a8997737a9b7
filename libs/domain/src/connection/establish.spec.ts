import {
  afterItsEnd,
  clm,
  connected,
  endUserDigest,
  established,
  given,
  otherPlatformId,
  owner,
  platformId,
  providerId,
  registrationId,
  ses,
  sessionEndsMs,
  stateOf,
  the,
  tokenEndsMs,
  whileItLives,
} from '../spec-support/connection.ts';
import { refusalOf } from '../spec-support/given.ts';
import { interruptRefresh } from './claim.ts';
import { startEstablishment, type StartEstablishment } from './establish.ts';
import { freshnessOf } from './freshness.ts';
import { leaseDecision } from './lease-decision.ts';
import { startRefresh } from './refresh.ts';
import { completeAuthorization, startCodeExchange } from './session.ts';
import { viewOf } from './view.ts';

const establish = (more: Partial<StartEstablishment> = {}): StartEstablishment =>
  ({
    ...the.establishmentStarted().data,
    sessionId: ses(2),
    nowMs: whileItLives,
    ...more,
  }) as StartEstablishment;
const anew = (more: Partial<StartEstablishment> = {}) => establish({ purpose: 'reauthorize', ...more });
const context = { revision: 1, position: 1, reauthorizeUrl: 'https://postern.example/connect/con', nowMs: afterItsEnd };

describe('establishing a connection without a browser', () => {
  test('begins where a session is when its code is spent, and is completed as one', () => {
    const state = given([]).when(startEstablishment, establish()).thenState();
    expect(state).toMatchObject({ authorization: 'pending', endUserDigest: '', returnUrl: '' });
    expect(state.session).toMatchObject({ stage: 'exchanging', grant: 'client_credentials' });
    const completion = {
      ...{ sessionId: ses(2), endUserDigest: '', credentialVersion: 1, grantedScopes: [] },
      ...{ accessTokenExpiresAtMs: tokenEndsMs, hasRefreshToken: false, accountDigest: null },
      ...{ grant: 'client_credentials' as const, nowMs: whileItLives },
    };
    const [event] = completeAuthorization(completion, state);
    const data = { grant: 'client_credentials', providerVersion: 3 };
    expect(event).toMatchObject({ type: 'ConnectionAuthorized', data });
    given([the.establishmentStarted({ sessionId: ses(2) })])
      .when(completeAuthorization, { ...completion, endUserDigest })
      .thenRefused('session.end_user_mismatch');
  });

  test('takes no authorization code', () => {
    given([the.establishmentStarted()])
      .when(startCodeExchange, { sessionId: ses(1), nowMs: whileItLives })
      .thenRefused('session.already_used');
  });

  test('again under the same key is the same connection, and another one is refused', () => {
    given(established).when(startEstablishment, establish()).thenNothing();
    given(established)
      .when(startEstablishment, establish({ sessionId: ses(1) }))
      .thenNothing();
    for (const other of [{ endUserDigest }, { providerId: 'other' }, { grant: 'static' as const }]) {
      given(established).when(startEstablishment, establish(other)).thenRefused('connection.establish_key_used');
    }
    given(established)
      .when(startEstablishment, establish({ platformId: otherPlatformId }))
      .thenRefused('connection.not_found');
  });

  test('that came to nothing may be tried again, and the newest is the one to finish', () => {
    const denied = [the.establishmentStarted(), the.denied({ stage: 'exchange' })];
    expect(given(denied).when(startEstablishment, establish()).thenState().session?.sessionId).toBe(ses(2));
    const state = given([the.establishmentStarted()]).when(startEstablishment, establish()).thenState();
    expect(state.pastSessions).toEqual([{ sessionId: ses(1), ended: 'superseded' }]);
  });

  test.each(['device_code', 'imported', 'token_exchange', 'identity_assertion'] as const)(
    'is not how %s is had',
    (grant) => {
      given([]).when(startEstablishment, establish({ grant })).thenRefused('request.malformed');
    },
  );

  test('in place is for a connection without an end user alone, and for one that exists', () => {
    given([]).when(startEstablishment, anew()).thenRefused('connection.not_found');
    given(connected).when(startEstablishment, anew({ endUserDigest })).thenRefused('request.malformed');
    given([...established, the.deletionRequested()])
      .when(startEstablishment, anew())
      .thenRefused('connection.deleted');
    const state = given([...established, the.revoked()])
      .when(startEstablishment, anew())
      .thenState();
    expect(state).toMatchObject({ authorization: 'revoked', session: { purpose: 'reauthorize' } });
    given([])
      .when(startEstablishment, establish({ nowMs: sessionEndsMs }))
      .thenRefused('session.expired');
  });
});

describe('a connection that is renewed without a refresh token', () => {
  const claimed = [...established, the.claimed(), the.released()];

  test('is refreshed under a claim, though it has no refresh token', () => {
    const refresh = { claimId: clm(1), claimTimeoutMs: 1_000, reason: 'expired' as const, nowMs: afterItsEnd };
    expect(startRefresh(refresh, stateOf(established))).toMatchObject([{ type: 'RefreshStarted' }]);
    expect(freshnessOf(stateOf(established), { nowMs: afterItsEnd }).health).toBe('ok');
    expect(leaseDecision(stateOf(established), { ...owner, nowMs: afterItsEnd }).kind).toBe('refresh');
  });

  test('loses nothing with an answer: a released claim without outcome may be tried again at once', () => {
    const command = { claimId: clm(1), nowMs: afterItsEnd, claimSeenOver: true };
    given(claimed)
      .when(interruptRefresh, command)
      .then([
        {
          type: 'RefreshFailed',
          version: 1,
          data: {
            claimId: clm(1),
            error: 'claim_expired_unanswered',
            httpStatus: null,
            nextAttemptAtMs: afterItsEnd,
          },
        },
      ]);
  });

  test('sends no end user anywhere', () => {
    const dead = [...claimed, the.rejected(), the.reauthorizationRequired()];
    expect(viewOf(stateOf(dead), context)).toMatchObject({
      authorization: 'reauthorization_required',
      reauthorize_url: null,
    });
    const question = { ...owner, nowMs: afterItsEnd, reauthorizeUrl: context.reauthorizeUrl };
    const refusal = refusalOf(() => leaseDecision(stateOf(dead), question));
    expect(refusal.code).toBe('connection.reauthorization_required');
    expect(refusal.details).not.toHaveProperty('reauthorize_url');
  });
});

test('what a connection keeps for life is its beginning’s', () => {
  expect(stateOf(established)).toMatchObject({ platformId, providerId, registrationId });
});
