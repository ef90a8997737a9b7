import * as fc from 'fast-check';

import { paceLimits } from './pace-limits.ts';
import { ReturnTimes } from './return-times.ts';

const { returnSpreadMsMax, returnDelayMsMin, crowdIntervalMsMax } = paceLimits;

/** What is put back at one moment comes back after these delays. */
function delays(count: number, more: { notBeforeMs?: number; intervalMs?: number; random?: () => number } = {}) {
  const { random = Math.random, intervalMs = 10, ...rest } = more;
  const returns = new ReturnTimes();
  return Array.from({ length: count }, () => returns.delayMs({ nowMs: 1_000, intervalMs, ...rest, random: random() }));
}
/** The most that come back within any second. */
function mostInASecond(all: readonly number[]): number {
  const perSecond = new Map<number, number>();
  for (const delay of all)
    perSecond.set(Math.floor(delay / 1_000), (perSecond.get(Math.floor(delay / 1_000)) ?? 0) + 1);
  return Math.max(...perSecond.values());
}

test('what was put back together does not come back together', () => {
  const all = delays(1_000, { intervalMs: 20 });
  expect(Math.max(...all)).toBeGreaterThan(15_000);
  expect(mostInASecond(all)).toBeLessThan(1.5 * 50);
});

test('after an outage nobody comes back before its end, and they come back one by one', () => {
  const all = delays(400, { notBeforeMs: 31_000, intervalMs: 50 });
  expect(Math.min(...all)).toBeGreaterThanOrEqual(30_000);
  expect(mostInASecond(all)).toBeLessThan(1.5 * 20);
});

test('who does not fit into the longest spread stands in a second line, which is worked off as fast as can be and no faster', () => {
  const all = delays(100_000, { intervalMs: 10 });
  const late = all.slice(10_000);
  expect(Math.min(...late)).toBeGreaterThanOrEqual(returnSpreadMsMax / 2);
  const perS = 1_000 / crowdIntervalMsMax;
  expect(mostInASecond(late)).toBeLessThan(1.2 * perS);
  expect(Math.max(...late)).toBeLessThan(returnSpreadMsMax / 2 + (1.1 * 1_000 * late.length) / perS);
});

test('the second line is no slower than the first', () => {
  const late = delays(100_000, { intervalMs: 1 }).slice(60_000 * 1.1);
  expect(mostInASecond(late)).toBeGreaterThan(800);
});

test('a queue that is gone is forgotten', () => {
  const returns = new ReturnTimes();
  for (let n = 0; n < 1_000; n += 1) returns.delayMs({ nowMs: 0, intervalMs: 100, random: 0.5 });
  expect(returns.delayMs({ nowMs: 1_000_000, intervalMs: 100, random: 0.5 })).toBe(100);
});

test('a delay is a whole number, since the server takes a fraction for none', () => {
  const input = fc.record({
    nowMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
    intervalMs: fc.double({ min: 0, max: 1e5, noNaN: true }),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(input, { minLength: 1, maxLength: 20 }), (inputs) => {
      const returns = new ReturnTimes();
      for (const one of inputs.toSorted((a, b) => a.nowMs - b.nowMs)) {
        const delayMs = returns.delayMs(one);
        expect(Number.isInteger(delayMs)).toBe(true);
        expect(delayMs).toBeGreaterThanOrEqual(returnDelayMsMin);
        expect(delayMs).toBeLessThanOrEqual(returnSpreadMsMax + 1.5 * inputs.length * crowdIntervalMsMax + 1);
      }
    }),
  );
});
