import { connectionId, metaAt, stateOf, the, connected, revoked, tokenEndsMs } from '../spec-support/connection.ts';
import { codeOf, startMs } from '../spec-support/given.ts';
import { connectionEvolver } from './evolve.ts';
import { announceAuthorizationEnd } from './refresh-plan.ts';

const endsAtMs = tokenEndsMs + 86_400_000;

describe('the end of an authorization', () => {
  test('is announced once', () => {
    const command = { endsAtMs, credentialVersion: 1 };
    const [event] = announceAuthorizationEnd(command, stateOf(connected));
    expect(event).toEqual({ type: 'AuthorizationExpiring', version: 1, data: { endsAtMs } });
    const told = stateOf([...connected, the.expiring({ endsAtMs })]);
    expect(told.credential?.authorizationEndsAtMs).toBe(endsAtMs);
    expect(announceAuthorizationEnd(command, told)).toEqual([]);
  });

  test('is a matter of the version that is current, in a connection that may be used', () => {
    expect(announceAuthorizationEnd({ endsAtMs, credentialVersion: 2 }, stateOf(connected))).toEqual([]);
    const refused = () => announceAuthorizationEnd({ endsAtMs, credentialVersion: 1 }, stateOf(revoked));
    expect(codeOf(refused)).toBe('connection.revoked');
  });

  test('a refresh remembers that it was told, a new authorization does not', () => {
    const told = [...connected, the.expiring({ endsAtMs }), the.claimed(), the.released(), the.refreshed()];
    expect(stateOf(told).credential?.authorizationEndsAtMs).toBe(endsAtMs);
    const meta = { ...metaAt(startMs), aggregateId: connectionId };
    const anew = [the.sessionStarted({ purpose: 'reauthorize', sessionId: 'ses_2' }), the.reauthorized()].reduce(
      (state, event) => connectionEvolver.evolve(state, event, meta),
      stateOf(told),
    );
    expect(anew.credential).not.toHaveProperty('authorizationEndsAtMs');
  });
});
