import { harshProfileOf, profileOf, weeksOf } from './profile.ts';
import { Random } from './random.ts';
import { sabotages, type Sabotage } from './sabotage.ts';
import { simulate, type SimulationReport } from './simulation.ts';
import { toldOf } from './told.ts';
import { withoutRealTime } from './without-real-time.ts';

/** Every seed of these is run each time; `npm run sim` runs as many others as one has patience for. */
const fixedSeeds = [1, 2, 3, 5, 8];
/** So many seeds are enough to see a missing guard. */
const sabotageSeedsMax = 20;
const harsh = (seed: number) => ({ seed, profile: harshProfileOf(new Random(seed)) });

/** The first run that misses the guard. */
async function firstRed(sabotage: Sabotage): Promise<SimulationReport> {
  for (let seed = 1; seed <= sabotageSeedsMax; seed += 1) {
    const report = await simulate({ ...harsh(seed), sabotage, keepTrace: true });
    if (report.violations.length > 0) return report;
  }
  throw new Error(`${sabotageSeedsMax} seeds did not miss the guard`);
}

test.each(fixedSeeds)(
  'seed %i: whatever fails, nothing is spent twice, overwritten, revived or forgotten',
  async (seed) => {
    const report = await simulate({ seed });
    expect(report.violations).toEqual([]);
    expect(report.refreshes).toBeGreaterThan(0);
  },
);

test.each([1, 2])('seed %i: and where claim and release are two steps', async (seed) => {
  expect((await simulate({ seed, inTwoSteps: true })).violations).toEqual([]);
});

test('many connections for weeks take seconds', async () => {
  const report = await simulate({ seed: 1, profile: weeksOf(60, 14) });
  expect(report.violations).toEqual([]);
  expect(report.refreshes).toBeGreaterThan(report.connections);
});

test('the same seed gives the same run, another one another', async () => {
  const [first, again, other] = [
    await simulate({ seed: 21 }),
    await simulate({ seed: 21, keepTrace: true }),
    await simulate({ seed: 22 }),
  ];
  expect(again.traceHash).toBe(first.traceHash);
  expect(other.traceHash).not.toBe(first.traceHash);
});

test('the machine’s time and chance are closed to it', async () => {
  const using = (use: () => unknown) =>
    withoutRealTime(
      () => 0,
      async () => use(),
    );
  await expect(using(() => Math.random())).rejects.toThrow('Math.random');
  await expect(using(() => setTimeout(() => undefined, 0))).rejects.toThrow('setTimeout');
  expect(Math.random()).toBeLessThan(1);
});

describe('without one guard the invariants turn red', () => {
  /** The rules that may be the first to notice. */
  const noticedBy: Record<(typeof sabotages)[number], RegExp> = {
    'release-without-fence': /nothing is spent that the log does not call released/,
    'store-without-version-check': /never a stale overwrite/,
    'claims-by-the-wall-clock': /never two live claims|nobody spends for a claim that was taken over/,
    'lease-from-stale-memory': /no token is served after revocation/,
    'claim-without-conflict-check': /one log|never two live claims/,
  };

  test.each([1, 2])('with all of them seed %i is green', async (seed) => {
    expect((await simulate(harsh(seed))).violations).toEqual([]);
  });

  test.each(sabotages)('%s', async (sabotage) => {
    const { violations } = await firstRed(sabotage);
    expect(violations[0]?.invariant).toMatch(noticedBy[sabotage]);
  });
});

test('a run that failed is told about the connection it failed at, with its end', async () => {
  const report = await firstRed('claims-by-the-wall-clock');
  const told = toldOf(report);
  expect(told.at(-1)).toMatch(/^FAILED: /);
  expect(told.some((line) => line.includes('RefreshStarted'))).toBe(true);
});

test('what a seed draws differs from the next one’s', () => {
  const drawn = new Set(fixedSeeds.map((seed) => JSON.stringify(profileOf(new Random(seed)).faults)));
  expect(drawn.size).toBe(fixedSeeds.length);
});
