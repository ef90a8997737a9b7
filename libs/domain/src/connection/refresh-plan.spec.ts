import { connectionId, metaAt, stateOf, the, connected, revoked, tokenEndsMs } from '../spec-support/connection.ts';
import { codeOf, startMs } from '../spec-support/given.ts';
import { connectionEvolver } from './evolve.ts';
import { announceAuthorizationEnd, announceRotation } from './refresh-plan.ts';

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

describe('a credential that was made by hand', () => {
  const made = the.authorized({ grant: 'static', hasRefreshToken: false, rotateAtMs: tokenEndsMs });
  const replaceable = [...connected.slice(0, -1), made];

  test('is old once: its owner is reminded, and not again until there is another', () => {
    const command = { credentialVersion: 1 };
    const [event] = announceRotation(command, stateOf(replaceable));
    expect(event).toEqual({ type: 'RotationDue', version: 1, data: command });
    const told = stateOf([...replaceable, the.rotationDue()]);
    expect(told.credential?.rotationDueSinceMs).toBeGreaterThan(0);
    expect(announceRotation(command, told)).toEqual([]);
    expect(announceRotation({ credentialVersion: 2 }, stateOf(replaceable))).toEqual([]);
    const another = [the.sessionStarted({ purpose: 'reauthorize', sessionId: 'ses_2' }), the.reauthorized()];
    expect(stateOf([...replaceable, the.rotationDue(), ...another]).credential).not.toHaveProperty(
      'rotationDueSinceMs',
    );
  });

  test('of one that nobody wants replaced, and of one that may not be used, nobody is told', () => {
    expect(announceRotation({ credentialVersion: 1 }, stateOf(connected))).toEqual([]);
    expect(codeOf(() => announceRotation({ credentialVersion: 1 }, stateOf(revoked)))).toBe('connection.revoked');
  });
});
