import { PosternError } from '@postern/contracts';

import { refreshLimits } from '../refresh-limits.ts';
import { insist } from './insist.ts';

/** Fails with this so often; tells what was done. */
async function insisting(code: 'vault.database_unavailable' | 'vault.version_stale', failures: number) {
  const pausesMs: number[] = [];
  let calls = 0;
  let told = 0;
  const run = async () => {
    calls += 1;
    if (calls <= failures) throw new PosternError(code, 'Not now.');
    return 'stored';
  };
  const clock = { random: () => 1, sleep: async (ms: number) => void pausesMs.push(ms) };
  const came = await insist(run, { clock, onRetry: () => void (told += 1) }).catch((error: unknown) => error);
  return { came, calls, told, pausesMs };
}

test('what may pass is tried again, after longer and longer pauses, and whoever waits is told', async () => {
  expect(await insisting('vault.database_unavailable', 8)).toEqual({
    came: 'stored',
    calls: 9,
    told: 8,
    pausesMs: [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000],
  });
});

test('a refusal is final', async () => {
  const { came, calls } = await insisting('vault.version_stale', 8);
  expect(came).toMatchObject({ code: 'vault.version_stale' });
  expect(calls).toBe(1);
});

test('what does not pass is given up after some ten minutes', async () => {
  const { came, calls, pausesMs } = await insisting('vault.database_unavailable', Infinity);
  expect(came).toMatchObject({ code: 'vault.database_unavailable' });
  expect(calls).toBe(refreshLimits.insistAttemptsMax + 1);
  expect(pausesMs.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(9 * 60_000);
});
