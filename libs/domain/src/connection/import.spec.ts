import {
  afterItsEnd,
  connected,
  endUserDigest,
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
import { startImport, type StartImport } from './import.ts';
import { leaseDecision } from './lease-decision.ts';
import { completeAuthorization, denyAuthorization, startCodeExchange } from './session.ts';
import { viewOf } from './view.ts';

const returnUrl = 'https://platform.example/back';
const taken = (more: Partial<StartImport> = {}): StartImport => ({
  ...{ sessionId: ses(1), platformId, providerId, registrationId, endUserDigest, requestedScopes: ['contacts.read'] },
  ...{ providerVersion: 3, expiresAtMs: sessionEndsMs, returnUrl, nowMs: whileItLives },
  ...more,
});
const { nowMs: _nowMs, ...facts } = taken();
const begun = the.establishmentStarted({ ...facts, grant: 'imported' });
const completion = {
  ...{ sessionId: ses(1), endUserDigest, credentialVersion: 1, grantedScopes: ['contacts.read'] },
  ...{ accessTokenExpiresAtMs: tokenEndsMs, hasRefreshToken: true, accountDigest: null },
  ...{ grant: 'imported' as const, nowMs: whileItLives },
};
const imported = [begun, the.authorized({ ...completion, grant: 'imported' })];

describe('importing a connection', () => {
  test('begins where a session is when its code is spent; nothing is leased before it is completed', () => {
    const state = given([]).when(startImport, taken()).thenState();
    expect(state).toMatchObject({ authorization: 'pending', endUserDigest, returnUrl });
    expect(state.session).toMatchObject({ stage: 'exchanging', grant: 'imported' });
    expect(refusalOf(() => leaseDecision(state, { ...owner, nowMs: whileItLives }))).toMatchObject({
      code: 'connection.not_authorized',
    });
    const done = given([begun]).when(completeAuthorization, completion).thenState();
    expect(done).toMatchObject({ authorization: 'authorized', credential: { grant: 'imported', providerVersion: 3 } });
    expect(leaseDecision(done, { ...owner, nowMs: whileItLives })).toMatchObject({ kind: 'grant' });
  });

  test('takes no authorization code', () => {
    given([begun])
      .when(startCodeExchange, { sessionId: ses(1), nowMs: whileItLives })
      .thenRefused('session.already_used');
  });

  test('a repeat says nothing, also when the connection has lived on since', () => {
    given([begun]).when(startImport, taken()).thenNothing();
    given(imported)
      .when(startImport, taken({ sessionId: ses(2) }))
      .thenNothing();
    given([...imported, the.revoked()])
      .when(startImport, taken({ sessionId: ses(2) }))
      .thenNothing();
  });

  test('one that was abandoned, or given up by nobody, begins anew', () => {
    const again = taken({ sessionId: ses(2) });
    const abandoned = {
      sessionId: ses(1),
      stage: 'exchange',
      error: 'import_abandoned',
      errorDescription: null,
    } as const;
    const denied = denyAuthorization({ ...abandoned, nowMs: whileItLives }, stateOf([begun]));
    for (const before of [[begun], [begun, ...denied]]) {
      const state = given(before).when(startImport, again).thenState();
      expect(state.session).toMatchObject({ sessionId: ses(2), stage: 'exchanging' });
    }
    given([begun, the.establishmentStarted({ ...facts, grant: 'imported', sessionId: ses(2) })])
      .when(completeAuthorization, completion)
      .thenRefused('session.superseded');
  });

  test('does not take the place of another connection', () => {
    const refused = (more: Partial<StartImport>, code: string, before = imported) =>
      given(before)
        .when(startImport, taken({ sessionId: ses(2), ...more }))
        .thenRefused(code as never);
    refused({ endUserDigest: 'another' }, 'connection.establish_key_used');
    refused({ providerId: 'another' }, 'connection.establish_key_used');
    refused({ registrationId: 'reg_01jd0000000000000000000009' }, 'connection.establish_key_used');
    refused({ platformId: otherPlatformId }, 'connection.not_found');
    refused({}, 'connection.deleted', [...connected, the.deletionRequested()]);
    refused({ expiresAtMs: whileItLives }, 'session.expired', []);
  });

  test('its user can authorize it again where there is a place to go back to', () => {
    const context = {
      revision: 1,
      position: 1,
      reauthorizeUrl: 'https://postern.example/connect/con',
      nowMs: afterItsEnd,
    };
    const { returnUrl: _url, ...withoutUrl } = facts;
    const revoked = (first: typeof begun) => stateOf([first, ...imported.slice(1), the.revoked()]);
    expect(viewOf(revoked(begun), context).reauthorize_url).toBe(context.reauthorizeUrl);
    const nowhere = the.establishmentStarted({ ...withoutUrl, grant: 'imported' });
    expect(viewOf(revoked(nowhere), context).reauthorize_url).toBeNull();
  });
});
