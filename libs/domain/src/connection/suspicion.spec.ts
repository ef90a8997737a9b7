import { limits, type SignalEvidence } from '@postern/contracts';

import {
  afterItsEnd,
  claimed,
  connected,
  exchanging,
  given,
  interrupted,
  reauthorized,
  revoked,
  signalEvidence,
  stateOf,
  the,
  whileItLives,
  withoutRefreshToken,
} from '../spec-support/connection.ts';
import { secondMs, startMs } from '../spec-support/given.ts';
import { decideOnSignal } from './signal.ts';
import {
  decideOnRejection,
  decideOnVerdict,
  inquiryOf,
  isSuspected,
  weightOfRejection,
  type DecideOnVerdict,
} from './suspicion.ts';

const evidence = (more: Partial<SignalEvidence> = {}) =>
  signalEvidence({ source: 'platform', type: 'token_rejected', occurredAtMs: null, matchedBy: 'lease', ...more });
const rejection = (credentialVersion = 1, more: Partial<SignalEvidence> = {}) => ({
  refused: 'access_token' as const,
  credentialVersion,
  evidence: evidence(more),
});
const suspected = [...connected, the.suspected({ evidence: evidence() })];
const disproved = [...suspected, the.disproved()];
/** The fifth event of `disproved`. */
const disprovedAtMs = startMs + 4 * secondMs;

describe('a report of a refused token', () => {
  test('makes the current version suspected, once', () => {
    given(connected)
      .when(decideOnRejection, rejection())
      .then([the.suspected({ evidence: evidence() })]);
    given(suspected)
      .when(decideOnRejection, rejection(1, { position: 8 }))
      .thenNothing();
  });

  test.each([
    ['an older version', rejection(1), [...connected, the.claimed(), the.released(), the.refreshed()], 'outdated'],
    ['a version that never was', rejection(2), connected, 'outdated'],
    ['a token that has ended', rejection(1, { receivedAtMs: afterItsEnd }), connected, 'outdated'],
    ['a version that is suspected', rejection(1, { position: 8 }), suspected, 'suspected'],
    ['a revoked connection', rejection(1), revoked, 'moot'],
    ['one that was never authorized', rejection(1), exchanging, 'moot'],
    ['the authorization of before', rejection(1), [...connected, ...reauthorized], 'outdated'],
  ] as const)('about %s proves nothing', (_title, command, history, weight) => {
    expect(weightOfRejection(command, stateOf(history))).toBe(weight);
    given(history).when(decideOnRejection, command).thenNothing();
  });

  test('after the provider said that the grant lives, waits until it may think otherwise', () => {
    const soon = rejection(1, { position: 8, receivedAtMs: disprovedAtMs + limits.inquiryIntervalMs - 1 });
    expect(weightOfRejection(soon, stateOf(disproved))).toBe('asked_lately');
    const later = rejection(1, { position: 8, receivedAtMs: disprovedAtMs + limits.inquiryIntervalMs });
    given(disproved)
      .when(decideOnRejection, later)
      .then([the.suspected({ evidence: later.evidence })]);
  });

  test('so too after a refresh that a suspicion forced, and not after any other', () => {
    const refreshing = [the.claimed(), the.released(), the.refreshed()];
    const soon = rejection(2, { position: 8, receivedAtMs: whileItLives });
    expect(weightOfRejection(soon, stateOf([...suspected, ...refreshing]))).toBe('asked_lately');
    expect(weightOfRejection(soon, stateOf([...connected, ...refreshing]))).toBe('hint');
  });

  test('that comes again after it was disproved is the same report', () => {
    const same = rejection(1, { receivedAtMs: disprovedAtMs + limits.inquiryIntervalMs });
    given(disproved).when(decideOnRejection, same).thenNothing();
  });
});

test("a provider's own hint makes a version suspected again whenever it comes, and the same one never", () => {
  const hint = (position: number) => ({ means: 'hint' as const, evidence: signalEvidence({ position }) });
  given(disproved).when(decideOnSignal, hint(7)).thenNothing();
  given(disproved)
    .when(decideOnSignal, hint(8))
    .then([the.suspected({ evidence: signalEvidence({ position: 8 }) })]);
});

describe('how the provider is asked', () => {
  const ask = (history: Parameters<typeof stateOf>[0], introspects: boolean, nowMs = whileItLives) =>
    inquiryOf(stateOf(history), { introspects, nowMs });
  const suspect = (...history: Parameters<typeof stateOf>[0]) => [...history, the.suspected()];

  test('by introspection where it has that, else by a refresh', () => {
    expect(ask(suspected, true)).toBe('refresh_token');
    expect(ask(suspected, false)).toBe('refresh');
  });

  test.each([
    ['is being spent', suspect(...claimed)],
    ['may have been spent', suspect(...interrupted)],
    ['may have been spent by a refresh that failed', suspect(...claimed, the.released(), the.failed())],
  ])('by a refresh where the refresh token %s', (_title, history) => {
    expect(ask(history, true)).toBe('refresh');
  });

  test('by its API where there is no refresh token, while the access token lives', () => {
    expect(ask(suspect(...withoutRefreshToken), true)).toBe('access_token');
    expect(ask(suspect(...withoutRefreshToken), true, afterItsEnd)).toBe('nothing');
  });

  test('not at all about what is not suspected', () => {
    expect(ask(connected, true)).toBe('nothing');
    expect(ask(disproved, true)).toBe('nothing');
    expect(ask([...suspected, the.revoked()], true)).toBe('nothing');
  });
});

describe("the provider's answer", () => {
  const said = (more: Partial<DecideOnVerdict> = {}): DecideOnVerdict => ({
    verdict: 'dead',
    method: 'probe',
    credentialVersion: 1,
    askedAtPosition: 40,
    error: 'token_revoked',
    evidence: evidence(),
    ...more,
  });
  const at = (position: number) => (command: DecideOnVerdict, state: Parameters<typeof decideOnVerdict>[1]) =>
    decideOnVerdict(command, state, position);

  test('dead ends the connection, with the evidence and the word', () => {
    const confirmedBy = { method: 'probe', error: 'token_revoked' } as const;
    given(suspected)
      .when(at(40), said())
      .then([the.revoked({ cause: 'revoked_at_provider', evidence: evidence(), confirmedBy })]);
    const after = given(suspected).when(at(40), said()).thenState();
    expect(after).toMatchObject({ authorization: 'revoked', upstreamRevocation: 'completed' });
  });

  test('alive ends the suspicion, and nothing else', () => {
    const after = given(suspected)
      .when(at(40), said({ verdict: 'alive', error: null }))
      .thenState();
    expect(isSuspected(after)).toBe(false);
    expect(after).toMatchObject({ authorization: 'authorized', credential: { version: 1 } });
  });

  test.each(['dead', 'alive'] as const)('%s proves nothing once anything else has happened', (verdict) => {
    given(suspected).when(at(41), said({ verdict })).thenNothing();
    given(suspected)
      .when(at(40), said({ verdict, credentialVersion: 2 }))
      .thenNothing();
    given(disproved).when(at(40), said({ verdict })).thenNothing();
    given([...suspected, the.revoked()])
      .when(at(40), said({ verdict }))
      .thenNothing();
  });

  test('keeps no more of its words than the log may hold', () => {
    const after = decideOnVerdict(said({ error: 'x'.repeat(2_000) }), stateOf(suspected), 40);
    expect(after).toMatchObject([{ data: { confirmedBy: { error: 'x'.repeat(limits.providerWordsCharsMax) } } }]);
  });
});
