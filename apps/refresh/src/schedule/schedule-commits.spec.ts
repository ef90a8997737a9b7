import { connected, stateOf, the } from '../spec-support/states.ts';
import { namesAChange } from './schedule-commits.ts';

const bytesOf = (events: readonly object[]) => Buffer.from(JSON.stringify({ events, state: stateOf(connected) }));

test('claim and release change no plan, an outcome does, and so does what came with others', () => {
  expect(namesAChange(bytesOf([the.claimed(), the.released]))).toBe(false);
  expect(namesAChange(bytesOf([the.claimed()]))).toBe(false);
  for (const event of [the.authorized(), the.failed(1), the.interrupted, the.revoked, the.suspended]) {
    expect(namesAChange(bytesOf([the.claimed(), event]))).toBe(true);
  }
});
