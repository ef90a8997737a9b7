import {
  connected,
  exchanging,
  given,
  reauthorized,
  released,
  revoked,
  ses,
  sessionEndsMs,
  stateOf,
  the,
  whileItLives,
} from '../spec-support/connection.ts';
import { requestDeletion, shredKey } from './delete.ts';
import {
  recordUpstreamRevocationFailed,
  recordUpstreamRevoked,
  revokeConnection,
  upstreamRevocationOf,
} from './revoke.ts';
import { resumeConnection, suspendConnection } from './suspend.ts';

const revoke = { cause: 'requested_by_platform', reason: null } as const;
const told = { credentialVersion: 1, method: 'rfc7009' } as const;
const notTold = { credentialVersion: 1, error: 'timeout', final: false };
const reason = { reason: null };
const deleted = [...connected, the.deletionRequested()];
const reexchanging = [the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize' }), the.exchangeStarted(ses(2))];

describe('revoking', () => {
  test('a revocation ends the claim and the session, and owes the provider a word', () => {
    const state = given([...released, ...reexchanging])
      .when(revokeConnection, revoke)
      .thenState();
    expect(state).toMatchObject({
      authorization: 'revoked',
      revocationCause: 'requested_by_platform',
      claim: null,
      session: null,
      upstreamRevocation: 'pending',
    });
  });

  test('a repeat is no event', () => {
    given(revoked).when(revokeConnection, revoke).thenNothing();
  });

  test('a repeat ends a session that began since', () => {
    given([...revoked, ...reexchanging])
      .when(revokeConnection, revoke)
      .then([the.revoked()]);
  });

  test('a pending connection owes the provider nothing', () => {
    const state = given(exchanging).when(revokeConnection, revoke).thenState();
    expect(state).toMatchObject({ authorization: 'revoked', upstreamRevocation: null, session: null });
  });

  test('a connection that is not there or deleted is not revoked', () => {
    given([]).when(revokeConnection, revoke).thenRefused('connection.not_found');
    given(deleted).when(revokeConnection, revoke).thenRefused('connection.deleted');
  });
});

describe('telling the provider', () => {
  test('it is due until it is done', () => {
    const due = { kind: 'due', credentialVersion: 1 };
    expect(upstreamRevocationOf(stateOf(connected), { nowMs: whileItLives })).toEqual({ kind: 'none' });
    expect(upstreamRevocationOf(stateOf(revoked), { nowMs: whileItLives })).toEqual(due);
    expect(upstreamRevocationOf(stateOf([...revoked, the.upstreamFailed()]), { nowMs: whileItLives })).toEqual(due);
    const done = stateOf([...revoked, the.upstreamRevoked()]);
    expect(upstreamRevocationOf(done, { nowMs: whileItLives })).toEqual({ kind: 'none' });
  });

  test('it waits while a new authorization is exchanged, which it might end', () => {
    const state = stateOf([...revoked, ...reexchanging]);
    expect(upstreamRevocationOf(state, { nowMs: whileItLives })).toEqual({ kind: 'wait', untilMs: sessionEndsMs });
    expect(upstreamRevocationOf(state, { nowMs: sessionEndsMs })).toEqual({ kind: 'due', credentialVersion: 1 });
  });

  test('it is not due for what a re-authorization replaced', () => {
    const state = stateOf([...revoked, ...reauthorized]);
    expect(upstreamRevocationOf(state, { nowMs: whileItLives })).toEqual({ kind: 'none' });
  });

  test('the outcome is recorded once', () => {
    given(revoked).when(recordUpstreamRevoked, told).then([the.upstreamRevoked()]);
    given([...revoked, the.upstreamRevoked()])
      .when(recordUpstreamRevoked, told)
      .thenNothing();
  });

  test('a failure that is not final leaves it due; a final one does not', () => {
    const failed = given(revoked).when(recordUpstreamRevocationFailed, notTold).thenState();
    expect(failed.upstreamRevocation).toBe('pending');
    const final = given(revoked)
      .when(recordUpstreamRevocationFailed, { ...notTold, final: true })
      .thenState();
    expect(final.upstreamRevocation).toBe('failed');
    given([...revoked, the.upstreamFailed({ final: true })])
      .when(recordUpstreamRevoked, told)
      .thenNothing();
  });

  test('an outcome for another version, or for a connection in use, is no event', () => {
    given(revoked)
      .when(recordUpstreamRevoked, { ...told, credentialVersion: 2 })
      .thenNothing();
    given(revoked)
      .when(recordUpstreamRevocationFailed, { ...notTold, credentialVersion: 2 })
      .thenNothing();
    given(connected).when(recordUpstreamRevoked, told).thenNothing();
  });

  test('an unknown connection is refused', () => {
    given([]).when(recordUpstreamRevoked, told).thenRefused('connection.not_found');
    given([]).when(recordUpstreamRevocationFailed, notTold).thenRefused('connection.not_found');
  });
});

describe('suspending', () => {
  test('a suspension begins and ends once', () => {
    const suspended = [...connected, the.suspended()];
    given(connected).when(suspendConnection, reason).then([the.suspended()]);
    given(suspended).when(suspendConnection, reason).thenNothing();
    given(suspended).when(resumeConnection, reason).then([the.resumed()]);
    given(connected).when(resumeConnection, reason).thenNothing();
  });

  test('it touches neither authorization nor claim', () => {
    const before = stateOf(released);
    expect(given(released).when(suspendConnection, reason).thenState()).toEqual({ ...before, suspended: true });
  });

  test('a revocation does not end it, and its end does not undo a revocation', () => {
    const both = stateOf([...connected, the.suspended(), the.revoked()]);
    expect(both).toMatchObject({ suspended: true, authorization: 'revoked' });
    const resumed = given([...connected, the.suspended(), the.revoked()])
      .when(resumeConnection, reason)
      .thenState();
    expect(resumed).toMatchObject({ suspended: false, authorization: 'revoked' });
  });

  test.each([
    ['connection.not_found', []],
    ['connection.deleted', deleted],
  ] as const)('%s', (code, history) => {
    given(history).when(suspendConnection, reason).thenRefused(code);
    given(history).when(resumeConnection, reason).thenRefused(code);
  });
});

describe('deleting', () => {
  test('a deletion is for ever, and a repeat is no event', () => {
    given(connected).when(requestDeletion, reason).then([the.deletionRequested()]);
    given(deleted).when(requestDeletion, reason).thenNothing();
    given([]).when(requestDeletion, reason).thenRefused('connection.not_found');
  });

  test('nothing in the log revives a deleted connection', () => {
    const state = stateOf([...deleted, ...reauthorized, the.refreshed(), the.resumed()]);
    expect(state).toEqual(stateOf(deleted));
  });

  test('the key goes when the provider was told', () => {
    given(connected).when(shredKey, {}).thenRefused('connection.key_in_use');
    given(revoked).when(shredKey, {}).thenRefused('connection.key_in_use');
    given(deleted).when(shredKey, {}).thenRefused('connection.key_in_use');
    given([...deleted, the.upstreamRevoked()])
      .when(shredKey, {})
      .then([the.keyShredded()]);
  });

  test('the key goes when the provider finally could not be told, or need not be', () => {
    given([...deleted, the.upstreamFailed({ final: true })])
      .when(shredKey, {})
      .then([the.keyShredded()]);
    given([...exchanging, the.deletionRequested()])
      .when(shredKey, {})
      .then([the.keyShredded()]);
    given([...revoked, the.upstreamRevoked(), the.deletionRequested()])
      .when(shredKey, {})
      .then([the.keyShredded()]);
  });

  test('the key goes once', () => {
    given([...deleted, the.upstreamRevoked(), the.keyShredded()])
      .when(shredKey, {})
      .thenNothing();
    given([]).when(shredKey, {}).thenRefused('connection.not_found');
  });
});
