import { PosternError } from '@postern/contracts';

import { insist } from './insist.ts';

test('what may pass is tried again, and whoever waits is told', async () => {
  let calls = 0;
  let told = 0;
  const run = async () => {
    calls += 1;
    if (calls < 3) throw new PosternError('vault.database_unavailable', 'Down.');
    return 'stored';
  };
  expect(await insist(run, () => void (told += 1))).toBe('stored');
  expect([calls, told]).toEqual([3, 2]);
});

test('a refusal is final', async () => {
  let calls = 0;
  const run = async () => {
    calls += 1;
    throw new PosternError('vault.version_stale', 'Newer.');
  };
  await expect(insist(run, () => undefined)).rejects.toMatchObject({ code: 'vault.version_stale' });
  expect(calls).toBe(1);
});
