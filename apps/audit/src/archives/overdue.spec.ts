import { epochOverdueMs, recordsOverdueMs, type Standing } from './overdue.ts';

/** A message a second, the first at 1,000. */
const at = (lastPosition: number) => (position: number) =>
  Promise.resolve(position <= lastPosition ? position * 1_000 : undefined);
const standing = (starts: number[], firstPosition: number, lastPosition: number): Standing => ({
  ...{ starts, firstPosition, lastPosition },
});
const epochs = (given: Standing, maxAgeMs?: number) =>
  epochOverdueMs(given, { nowMs: 100_000, timeAt: at(given.lastPosition), maxAgeMs });
const records = (given: Standing, maxAgeMs?: number) =>
  recordsOverdueMs(given, { nowMs: 100_000, timeAt: at(given.lastPosition), maxAgeMs });

describe('an epoch', () => {
  test.each([
    ['that is open is not overdue, where nobody says how old it may become', standing([1], 1, 50), undefined, 0],
    ['that is closed is overdue since the next one was written to', standing([1, 20], 1, 50), undefined, 80_000],
    ['that is closed is overdue since then also when later ones are', standing([1, 20, 30], 1, 50), undefined, 80_000],
    [
      'that is dropped is not: what the archive left of it goes with the next one',
      standing([1, 20], 15, 50),
      undefined,
      0,
    ],
    ['that is closed behind one that was dropped is', standing([1, 20, 30], 15, 50), undefined, 70_000],
    ['that is closed is not while nothing stands in the next one', standing([1, 51], 1, 50), undefined, 0],
    ['that is open is overdue once it is older than it may become', standing([1, 20], 20, 50), 60_000, 20_000],
    ['that is open and young is not', standing([1, 20], 20, 50), 90_000, 0],
    ['in which nothing stands is not', standing([1, 51], 51, 50), 1_000, 0],
  ])('%s', async (_rule, given, maxAgeMs, overdueMs) => {
    expect(await epochs(given, maxAgeMs)).toBe(overdueMs);
  });
});

describe('a record of ACCESS', () => {
  test.each([
    ['is not overdue where nobody says how old it may become', standing([1], 1, 50), undefined, 0],
    ['is overdue once it is older', standing([1], 11, 50), 60_000, 29_000],
    ['is not while it is younger', standing([1], 11, 50), 90_000, 0],
    ['that does not stand is not', standing([1], 51, 50), 1, 0],
  ])('%s', async (_rule, given, maxAgeMs, overdueMs) => {
    expect(await records(given, maxAgeMs)).toBe(overdueMs);
  });
});
