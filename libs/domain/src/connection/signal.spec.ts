import { CarriedConnection, limits, signalMeanings, type SignalEvidence } from '@postern/contracts';
import fc from 'fast-check';

import {
  connected,
  exchanging,
  given,
  reauthorized,
  released,
  revoked,
  ses,
  signalEvidence,
  stateOf,
  the,
  whileItLives,
} from '../spec-support/connection.ts';
import { secondMs, startMs } from '../spec-support/given.ts';
import { requestDeletion } from './delete.ts';
import { upstreamRevocationOf } from './revoke.ts';
import { decideOnSignal, weightOf, type DecideOnSignal } from './signal.ts';

const ended = (more: Partial<SignalEvidence> = {}): DecideOnSignal => ({
  means: 'grant_ended',
  evidence: signalEvidence(more),
});
const hint = (more: Partial<SignalEvidence> = {}): DecideOnSignal => ({
  means: 'hint',
  evidence: signalEvidence(more),
});
/** The third event of `connected`. */
const authorizedAtMs = startMs + 2 * secondMs;
const doubtMs = limits.clockSkewMsMax + secondMs;
const revokedBy = (command: DecideOnSignal) =>
  the.revoked({ cause: 'revoked_at_provider', evidence: command.evidence });

describe('a proof', () => {
  test('ends the connection, with its evidence', () => {
    given(connected)
      .when(decideOnSignal, ended())
      .then([revokedBy(ended())]);
    given(released)
      .when(decideOnSignal, ended())
      .then([revokedBy(ended())]);
  });

  test('owes the provider nothing: it was the provider who said so', () => {
    const state = given(released).when(decideOnSignal, ended()).thenState();
    expect(state).toMatchObject({ authorization: 'revoked', revocationCause: 'revoked_at_provider', claim: null });
    expect(upstreamRevocationOf(state, { nowMs: whileItLives })).toEqual({ kind: 'none' });
  });

  test('a connection that is deleted afterwards still owes it nothing', () => {
    const state = given([...connected, revokedBy(ended())])
      .when(requestDeletion, { reason: null })
      .thenState();
    expect(upstreamRevocationOf(state, { nowMs: whileItLives })).toEqual({ kind: 'none' });
  });

  test('leaves alone the end user who is authorizing again', () => {
    const again = the.sessionStarted({ sessionId: ses(2), purpose: 'reauthorize' });
    const state = given([...connected, again])
      .when(decideOnSignal, ended())
      .thenState();
    expect(state).toMatchObject({ authorization: 'revoked', session: { sessionId: ses(2) } });
  });

  test('told again is no event', () => {
    given([...connected, revokedBy(ended())])
      .when(decideOnSignal, ended())
      .thenNothing();
    given(revoked).when(decideOnSignal, ended()).thenNothing();
  });

  test('also counts when only the end user could help anyway', () => {
    given([...released, the.rejected(), the.reauthorizationRequired()])
      .when(decideOnSignal, ended())
      .then([revokedBy(ended())]);
  });

  test('must be after the authorization that stands, by more than clocks may differ', () => {
    const weight = (occurredAtMs: number) => weightOf(ended({ occurredAtMs }), stateOf(connected));
    expect(weight(authorizedAtMs + doubtMs + 1)).toBe('proof');
    expect(weight(authorizedAtMs + doubtMs)).toBe('hint');
    expect(weight(authorizedAtMs - limits.sessionTtlMs)).toBe('hint');
    expect(weight(authorizedAtMs - limits.sessionTtlMs - 1)).toBe('outdated');
  });

  test('of an earlier authorization does not end the newer one', () => {
    const history = [...connected, the.revoked(), ...reauthorized];
    const newerMs = stateOf(history).credential?.authorizedAtMs ?? 0;
    const before = ended({ occurredAtMs: newerMs - limits.sessionTtlMs - 1 });
    given(history).when(decideOnSignal, before).thenNothing();
  });

  test('from the future is only a hint', () => {
    const receivedAtMs = whileItLives;
    const weight = (occurredAtMs: number) => weightOf(ended({ occurredAtMs, receivedAtMs }), stateOf(connected));
    expect(weight(receivedAtMs + doubtMs)).toBe('proof');
    expect(weight(receivedAtMs + doubtMs + 1)).toBe('hint');
  });

  test('whose time nobody vouches for is only a hint', () => {
    given(connected)
      .when(decideOnSignal, ended({ occurredAtMs: null }))
      .then([the.suspected({ evidence: signalEvidence({ occurredAtMs: null }) })]);
  });
});

test('what came before the session that brought the authorization is worth nothing for it, whatever it says', () => {
  const signal = fc.record({
    means: fc.constantFrom(...signalMeanings),
    occurredAtMs: fc.option(fc.integer({ min: 0, max: authorizedAtMs + 24 * 3_600 * secondMs })),
    beforeMs: fc.integer({ min: 1, max: 24 * 3_600 * secondMs }),
  });
  fc.assert(
    fc.property(signal, ({ means, occurredAtMs, beforeMs }) => {
      const receivedAtMs = authorizedAtMs - limits.sessionTtlMs - beforeMs;
      const command = { means, evidence: signalEvidence({ occurredAtMs, receivedAtMs }) };
      expect(['outdated', 'recorded']).toContain(weightOf(command, stateOf(connected)));
      given(connected).when(decideOnSignal, command).thenNothing();
    }),
  );
});

test('whom a signal ended or made suspected remembers it', () => {
  expect(stateOf([...connected, revokedBy(ended())]).credential?.signal).toEqual({ credentialVersion: 1, position: 7 });
  expect(stateOf([...connected, the.suspected()]).credential?.signal).toEqual({ credentialVersion: 1, position: 7 });
  expect(stateOf(revoked).credential?.signal).toBeUndefined();
});

describe('a hint', () => {
  test('makes the credential version suspected, once', () => {
    given(connected).when(decideOnSignal, hint()).then([the.suspected()]);
    given([...connected, the.suspected()])
      .when(decideOnSignal, hint({ position: 8 }))
      .thenNothing();
  });

  test('leaves the connection in use', () => {
    const state = given(connected).when(decideOnSignal, hint()).thenState();
    expect(state).toMatchObject({
      authorization: 'authorized',
      credential: { signal: { credentialVersion: 1, position: 7 } },
    });
  });

  test('counts again for the version that a refresh brought', () => {
    const refreshed = [...connected, the.suspected(), the.claimed(), the.released(), the.refreshed()];
    given(refreshed)
      .when(decideOnSignal, hint({ position: 8 }))
      .then([the.suspected({ credentialVersion: 2, evidence: signalEvidence({ position: 8 }) })]);
  });

  test('says nothing of a connection that nobody can use', () => {
    given([...released, the.rejected(), the.reauthorizationRequired()])
      .when(decideOnSignal, hint())
      .thenNothing();
  });

  test('is followed by the proof', () => {
    given([...connected, the.suspected()])
      .when(decideOnSignal, ended())
      .then([revokedBy(ended())]);
  });
});

test.each(['suspended', 'resumed', 'scope_changed'] as const)('%s ends nothing', (means) => {
  const command = { means, evidence: signalEvidence() };
  expect(weightOf(command, stateOf(connected))).toBe('recorded');
  given(connected).when(decideOnSignal, command).thenNothing();
});

test.each(signalMeanings)('%s: where nothing is authorized or all is over, nothing happens', (means) => {
  const command = { means, evidence: signalEvidence() };
  for (const history of [[], exchanging, revoked, [...connected, the.deletionRequested()]]) {
    given(history).when(decideOnSignal, command).thenNothing();
  }
});

test('nothing is decided where the connection has moved away', () => {
  given([...connected, the.epochClosed()])
    .when(decideOnSignal, ended())
    .thenRefused('connection.moved');
});

test('account keys are remembered with the authorization, and go with the next', () => {
  const accountKeys = { team: 'digest-of-team' };
  const state = stateOf([...exchanging, the.authorized({ accountKeys })]);
  expect(state.credential?.accountKeys).toEqual(accountKeys);
  const next = stateOf([...exchanging, the.authorized({ accountKeys }), ...reauthorized]);
  expect(next.credential?.accountKeys).toBeUndefined();
});

test.each([
  ['before', [the.suspected(), the.expiring()]],
  ['after', [the.expiring(), the.suspected()]],
])('a signal %s the end that is known: an epoch carries the same state, byte for byte', (_title, history) => {
  const accountKeys = { team: 'digest-of-team' };
  const state = stateOf([...exchanging, the.authorized({ accountKeys }), ...history]);
  expect(JSON.stringify(CarriedConnection.parse(state))).toBe(JSON.stringify(state));
});
