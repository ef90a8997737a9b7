import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDataDir } from './data-dir.ts';
import { takeLock } from './file-lock.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = temporaryDataDir();
  path = join(folder, 'a.lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('a lock', () => {
  test('has one holder among many who want it', async () => {
    const taken = await Promise.all(Array.from({ length: 20 }, () => takeLock({ path, waitMsMax: 0 })));
    expect(taken.filter(Boolean)).toHaveLength(1);
  });

  test('passes on when it is released, and leaves no file', async () => {
    const first = await takeLock({ path, waitMsMax: 0 });
    let waiting = 0;
    const second = takeLock({ path, waitMsMax: 30_000, onWait: (pid) => ((waiting = pid), first?.release()) });
    (await second)?.release();
    expect(waiting).toBe(process.pid);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('does not outlive its owner', async () => {
    const sleeper = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const first = await takeLock({ path, waitMsMax: 0 });
    first?.handTo(sleeper.pid as number);
    expect(await takeLock({ path, waitMsMax: 0 })).toBeUndefined();
    sleeper.kill('SIGKILL');
    await once(sleeper, 'exit');
    expect(existsSync(path)).toBe(true);
    expect(await takeLock({ path, waitMsMax: 0 })).toBeDefined();
  });
});
