import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { childProcess } from './child-process.ts';
import { temporaryDataDir } from './data-dir.ts';
import { isProcessAlive } from './process-identity.ts';
import { untilGone } from './until-gone.ts';
import { watchdogPid } from './watchdog.ts';

let folder: string;
beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const node = (script: string, onLine?: (line: string) => void) =>
  childProcess({
    name: 'script',
    command: process.execPath,
    args: ['-e', script],
    env: { PATH: process.env['PATH'] },
    stopTimeoutMs: 300,
    ...(onLine && { onLine }),
  });

describe('a guarded process', () => {
  test('tells its lines and its end', async () => {
    const lines: string[] = [];
    const child = node('console.log("one\\ntwo"); process.exitCode = 3', (line) => lines.push(line));
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(lines).toEqual(['one', 'two']);
    await child.stop();
    await child.kill();
  });

  test('that does not hear SIGTERM is killed after the bound, and so is what it started', async () => {
    const script =
      'process.on("SIGTERM", () => {});' +
      'const c = require("child_process").spawn("sleep", ["1000"]); console.log(c.pid); setInterval(() => {}, 1000)';
    let grandchild = 0;
    const started = Promise.withResolvers<void>();
    const child = node(script, (line) => ((grandchild = Number(line)), started.resolve()));
    await started.promise;
    await child.stop();
    expect((await child.exited).signal).toBe('SIGKILL');
    await untilGone([child.pid, grandchild]);
  });

  test('goes on writing its log file, which nobody else may read', async () => {
    const logPath = join(folder, 'log');
    const child = childProcess({ name: 'echo', command: 'echo', args: ['hello', '$HOME; *'], logPath });
    await child.exited;
    expect(readFileSync(logPath, 'utf8')).toBe('hello $HOME; *\n');
  });

  test('takes its files with it', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    const child = childProcess({ name: 'sleep', command: 'sleep', args: ['1000'], removeAtEnd: () => [path] });
    await child.kill();
    expect(existsSync(path)).toBe(false);
  });

  test('a program that does not exist ends with code 127', async () => {
    expect(await childProcess({ name: 'none', command: join(folder, 'none') }).exited).toMatchObject({ code: 127 });
  });

  test('a folder that does not exist is refused by code', () => {
    const start = () => childProcess({ name: 'none', command: 'true', cwd: join(folder, 'none') });
    expect(start).toThrow(expect.objectContaining({ code: 'servers.start_failed' }));
  });
});

describe('the watchdog', () => {
  test('is replaced when somebody kills it, and leaves with the last process', async () => {
    const child = childProcess({ name: 'sleep', command: 'sleep', args: ['1000'] });
    const first = watchdogPid() as number;
    process.kill(first, 'SIGKILL');
    while (watchdogPid() === first) await setImmediate();
    const second = watchdogPid() as number;
    expect([first, second, child.pid].map((pid) => isProcessAlive(pid))).toEqual([false, true, true]);
    await child.stop();
    await untilGone([second]);
  });
});
