import { limits } from '@postern/contracts';

import {
  claimed,
  connected,
  exchanging,
  given,
  interrupted,
  revoked,
  signalEvidence,
  stateOf,
  the,
  withoutRefreshToken,
} from '../spec-support/connection.ts';
import { secondMs, startMs } from '../spec-support/given.ts';
import { inspectableToken, lastHeardAtMs, startInspection } from './inspection.ts';
import { weightOfRejection } from './suspicion.ts';

const { inspectionIntervalMsMin } = limits;
/** The third event of `connected`. */
const authorizedAtMs = startMs + 2 * secondMs;
const dueAtMs = authorizedAtMs + inspectionIntervalMsMin;
const inspected = [...connected, the.inspected()];
/** Made by hand: its token is all there is, and it has no end. */
const madeByHand = [
  ...exchanging,
  the.authorized({ grant: 'static', hasRefreshToken: false, accessTokenExpiresAtMs: null }),
];
const refreshed = [...claimed, the.released(), the.refreshed()];

describe('a refresh token that nobody suspects', () => {
  test('may be shown to its provider once in so many hours', () => {
    given(connected).when(startInspection, { nowMs: dueAtMs }).then([the.inspected()]);
    given(inspected)
      .when(startInspection, { nowMs: startMs + 3 * secondMs + inspectionIntervalMsMin - 1 })
      .thenNothing();
    given(inspected)
      .when(startInspection, { nowMs: startMs + 3 * secondMs + inspectionIntervalMsMin })
      .then([the.inspected()]);
  });

  test.each([
    ['an authorization', connected, 2],
    ['an inspection', inspected, 3],
    ['a refresh', refreshed, 5],
    ['an inspection before a refresh', [...inspected, the.claimed(), the.released(), the.refreshed()], 6],
  ] as const)('not so soon after %s, in which the provider had it', (_title, history, nth) => {
    const heardAtMs = startMs + nth * secondMs;
    expect(lastHeardAtMs(stateOf(history))).toBe(heardAtMs);
    given(history)
      .when(startInspection, { nowMs: heardAtMs + inspectionIntervalMsMin - 1 })
      .thenNothing();
  });

  test.each([
    ['that is being spent', claimed],
    ['that may have been spent', interrupted],
    ['whose refresh failed', [...claimed, the.failed()]],
    ['that is suspected', [...connected, the.suspected()]],
    ['of a suspended connection', [...connected, the.suspended()]],
    ['of a revoked connection', revoked],
    ['of a deleted connection', [...connected, the.deletionRequested()]],
    ['that needs its end user', [...claimed, the.released(), the.rejected(), the.reauthorizationRequired()]],
    ['that is none', withoutRefreshToken],
    ['of a connection that was never authorized', exchanging],
  ] as const)('not one %s', (_title, history) => {
    expect(lastHeardAtMs(stateOf(history))).toBeNull();
    given(history)
      .when(startInspection, { nowMs: dueAtMs + inspectionIntervalMsMin })
      .thenNothing();
  });

  test('what was made by hand is shown as seldom, and not while it is suspected or once it is revoked', () => {
    given(madeByHand).when(startInspection, { nowMs: dueAtMs }).then([the.inspected()]);
    given(madeByHand)
      .when(startInspection, { nowMs: dueAtMs - 1 })
      .thenNothing();
    given([...madeByHand, the.inspected()])
      .when(startInspection, { nowMs: dueAtMs })
      .thenNothing();
    for (const after of [the.suspected(), the.suspended(), the.revoked()]) {
      given([...madeByHand, after])
        .when(startInspection, { nowMs: 2 * dueAtMs })
        .thenNothing();
    }
  });

  test.each([
    ['authorization_code', undefined],
    ['client_credentials', 'client_credentials'],
    ['imported', 'imported'],
  ] as const)('the access token alone of %s is not shown', (_name, grant) => {
    expect(inspectableToken({ hasRefreshToken: false, grant })).toBeNull();
    expect(inspectableToken({ hasRefreshToken: true, grant })).toBe('refresh_token');
  });

  test('is not decided on a subject whose epoch was closed', () => {
    given([...connected, the.epochClosed()])
      .when(startInspection, { nowMs: dueAtMs })
      .thenRefused('connection.moved');
  });
});

test('of another version the time of an inspection says nothing', () => {
  const after = given([...connected, the.inspected({ credentialVersion: 2 })])
    .when(startInspection, { nowMs: startMs })
    .thenState();
  expect(after.credential).not.toHaveProperty('inspectedAtMs');
});

test('a refresh token is refused also when the access token beside it has ended', () => {
  const evidence = signalEvidence({ receivedAtMs: dueAtMs, occurredAtMs: null });
  const command = { refused: 'refresh_token', credentialVersion: 1, evidence } as const;
  expect(weightOfRejection(command, stateOf(inspected))).toBe('hint');
  expect(weightOfRejection({ ...command, refused: 'access_token' }, stateOf(inspected))).toBe('outdated');
  expect(weightOfRejection({ ...command, credentialVersion: 2 }, stateOf(inspected))).toBe('outdated');
});
