import { connected, stateOf, the, tokenEndsMs, whileItLives } from '../spec-support/states.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { nextAttemptAtMs } from './retry-plan.ts';

const { retryDelayMsMin, retryDelayMsMax } = refreshLimits;
const failure = { retryAfterMs: null, mayHaveBeenProcessed: false };
const healthy = stateOf(connected);
const failing = stateOf([...connected, the.claimed(), the.failed(tokenEndsMs)]);
const plan = (
  state: typeof healthy,
  more: Partial<typeof failure> | { retryAfterMs: number } | { pauseMsMin: number },
  forMs = 0,
  random = 1,
  restEndsAtMs: number | null = null,
) => {
  const nowMs = whileItLives + forMs;
  return nextAttemptAtMs(state, { ...failure, ...more }, { nowMs, random, restEndsAtMs }) - nowMs;
};

test('the first pause is short, and half of it is chance', () => {
  expect(plan(healthy, {})).toBe(retryDelayMsMin);
  expect(plan(healthy, {}, 0, 0)).toBe(retryDelayMsMin / 2);
});

test('where no provider was asked the first pause may be shorter, and grows like any other', () => {
  expect(plan(healthy, { pauseMsMin: 500 })).toBe(500);
  expect(plan(failing, { pauseMsMin: 500 }, 60_000)).toBe(60_000);
});

test('the pause grows with the time of failing, up to its maximum', () => {
  expect(plan(failing, {}, 60_000)).toBe(60_000);
  expect(plan(failing, {}, 24 * 3_600_000)).toBe(retryDelayMsMax);
});

test('near the end of a resting refresh token the pauses become short again', () => {
  const failingForMs = 24 * 3_600_000;
  const left = (leftMs: number) => plan(failing, {}, failingForMs, 1, whileItLives + failingForMs + leftMs);
  expect(left(24 * 3_600_000)).toBe(retryDelayMsMax);
  expect(left(3_600_000)).toBe(360_000);
  expect(left(60_000)).toBe(6_000);
  expect(left(1_000)).toBe(retryDelayMsMin);
  // What the provider asked for holds all the same, and what has ended is in no hurry.
  expect(plan(failing, { retryAfterMs: 900_000 }, failingForMs, 0, whileItLives + failingForMs + 60_000)).toBe(900_000);
  expect(left(0)).toBe(retryDelayMsMax);
});

test('Retry-After is a floor, with chance on top', () => {
  expect(plan(healthy, { retryAfterMs: 120_000 }, 0, 0)).toBe(120_000);
  expect(plan(healthy, { retryAfterMs: 120_000 })).toBeGreaterThan(120_000);
  expect(plan(failing, { retryAfterMs: 1_000 }, 60_000)).toBe(60_000);
});

test('a token that may have been spent is not sent again while the access token lives', () => {
  expect(plan(healthy, { mayHaveBeenProcessed: true })).toBe(tokenEndsMs - whileItLives);
  expect(plan(healthy, { mayHaveBeenProcessed: true }, 3_600_000)).toBe(retryDelayMsMin);
});

test('it is sent while the access token lives where it would end unused before', () => {
  const leftMs = tokenEndsMs - whileItLives;
  expect(plan(healthy, { mayHaveBeenProcessed: true }, 0, 1, tokenEndsMs)).toBe(leftMs / 2);
  expect(plan(healthy, { mayHaveBeenProcessed: true }, 0, 1, tokenEndsMs + leftMs)).toBe(leftMs);
  expect(plan(healthy, { mayHaveBeenProcessed: true }, 0, 1, whileItLives - 1)).toBe(retryDelayMsMin);
});
