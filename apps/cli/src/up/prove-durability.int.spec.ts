import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

import { describeWithServer, findNatsServer, temporaryDataDir } from '@postern/servers';

import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { startBus } from './start-bus.ts';

/** Identities are made in JavaScript, which takes seconds on a busy machine. */
const startTimeoutMs = 180_000;
const identityTtlMs = 3_600_000;

/** A real nats-server that never reads `sync_interval: always`: NATS's own default is to sync every two minutes. */
async function lazyProgram(root: string): Promise<string> {
  const { path } = await findNatsServer();
  // Named as the program is: its ports file, by which it is known, bears that name.
  const wrapper = join(root, basename(path));
  const lines = ['#!/bin/sh', '[ "$1" = --config ] && sed -i /sync_interval/d "$2"', `exec '${path}' "$@"`];
  writeFileSync(wrapper, `${lines.join('\n')}\n`);
  chmodSync(wrapper, 0o755);
  return wrapper;
}

await describeWithServer('nats-server', 'a bus that acknowledges what it has not synced', () => {
  const before = { ...process.env };
  let root: string;
  let folder: DataFolder;
  let told: string[];

  const start = async () => {
    const bus = await startBus(folder, { identityTtlMs, onProblem: (sentence) => told.push(sentence) });
    await bus.kept.stop();
  };

  beforeAll(async () => {
    root = temporaryDataDir('postern-lazy-');
    folder = await dataFolder(join(root, 'data'));
    process.env['POSTERN_NATS_SERVER'] = await lazyProgram(root);
  });
  beforeEach(() => {
    told = [];
    delete process.env['POSTERN_ALLOW_LAZY_SYNC'];
  });
  afterAll(() => {
    process.env = before;
    rmSync(root, { recursive: true, force: true });
  });

  test(
    'is refused, by the name of the node and the setting',
    async () => {
      await expect(start()).rejects.toMatchObject({
        code: 'log.config_differs',
        message: expect.stringMatching(/Node postern .*sync_interval: always.*POSTERN_ALLOW_LAZY_SYNC=true/),
      });
    },
    startTimeoutMs,
  );

  test(
    'starts where one setting allows it, and warns at every start',
    async () => {
      process.env['POSTERN_ALLOW_LAZY_SYNC'] = 'true';
      for (const starts of [1, 2]) {
        await start();
        expect(told).toHaveLength(starts);
        expect(told.at(-1)).toMatch(/^WARNING: Node postern .*sync_interval: always.* can lose acknowledged events/);
      }
    },
    startTimeoutMs,
  );

  test(
    'is not allowed by a word that is neither true nor false',
    async () => {
      process.env['POSTERN_ALLOW_LAZY_SYNC'] = '1';
      await expect(start()).rejects.toMatchObject({ code: 'config.invalid' });
    },
    startTimeoutMs,
  );
});
