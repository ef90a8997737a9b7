import { epochOverdueMs, recordsOverdueMs, type Standing } from './overdue.ts';

/** A message a second, the first at 1,000. */
const at = (lastPosition: number) => (position: number) =>
  Promise.resolve(position <= lastPosition ? position * 1_000 : undefined);
const standing = (starts: number[], lastPosition: number): Standing => ({ starts, lastPosition });
const epochs = (given: Standing, archivableUpTo?: number, maxAgeMs?: number) =>
  epochOverdueMs(given, { nowMs: 100_000, timeAt: at(given.lastPosition), maxAgeMs, archivableUpTo });
const records = (archivableUpTo?: number, maxAgeMs?: number) =>
  recordsOverdueMs({ nowMs: 100_000, timeAt: at(50), maxAgeMs, archivableUpTo });

describe('an epoch', () => {
  test.each([
    ['that is open is not overdue, where nobody says how old it may become', standing([1], 50), 30, undefined, 0],
    ['that is closed is overdue since the next one was written to', standing([1, 20], 50), 10, undefined, 80_000],
    ['that is closed is overdue since then also when later ones are', standing([1, 20, 30], 50), 10, undefined, 80_000],
    ['that is closed is not where no segment can end', standing([1, 20], 50), undefined, undefined, 0],
    ['of which the end alone is left is not, where no segment ends in it', standing([1, 20], 50), 25, undefined, 0],
    [
      'that is closed goes with the next one, where no segment ends in it',
      standing([1, 20, 30], 50),
      25,
      undefined,
      70_000,
    ],
    ['that is closed is not while nothing stands in the next one', standing([1, 51], 50), 10, undefined, 0],
    ['that is open is overdue once it is older than it may become', standing([1, 20], 50), undefined, 60_000, 20_000],
    ['that is open and young is not', standing([1, 20], 50), undefined, 90_000, 0],
    ['in which nothing stands is not', standing([1, 51], 50), undefined, 1_000, 0],
  ])('%s', async (_rule, given, archivableUpTo, maxAgeMs, overdueMs) => {
    expect(await epochs(given, archivableUpTo, maxAgeMs)).toBe(overdueMs);
  });
});

describe('a record of ACCESS', () => {
  test.each([
    ['is not overdue where nobody says how old it may become', 11, undefined, 0],
    ['is overdue once all is older that a segment would hold', 11, 60_000, 29_000],
    ['is not while one is younger', 11, 90_000, 0],
    ['is not where no segment can end behind it', undefined, 1, 0],
  ])('%s', async (_rule, archivableUpTo, maxAgeMs, overdueMs) => {
    expect(await records(archivableUpTo, maxAgeMs)).toBe(overdueMs);
  });
});
