import type { ManagedProcess, ProcessEnd } from '@postern/servers';

import { keepRunning } from './keep-running.ts';

/** A process whose end the test decides; a real one adds nothing to the rule. */
function fakeProcess(pid: number) {
  let end: (end: ProcessEnd) => void = () => undefined;
  const exited = new Promise<ProcessEnd>((resolve) => (end = resolve));
  const stop = async () => end({ code: 0, signal: null });
  const process: ManagedProcess = { name: 'x', pid, exited, stop, kill: stop };
  return { process, crash: () => end({ code: null, signal: 'SIGKILL' }) };
}

test('a process that ends by itself is started again, and said so', async () => {
  const made = [fakeProcess(1), fakeProcess(2)];
  const problems: string[] = [];
  let second: () => void = () => undefined;
  const startedAgain = new Promise<void>((resolve) => (second = resolve));
  let starts = 0;
  const kept = await keepRunning({
    name: 'vault',
    start: async () => {
      starts += 1;
      if (starts === 2) second();
      return (made[starts - 1] as ReturnType<typeof fakeProcess>).process;
    },
    onProblem: (sentence) => problems.push(sentence),
  });
  made[0]?.crash();
  await startedAgain;
  await kept.stop();
  expect(starts).toBe(2);
  expect(problems).toEqual(['vault ended (SIGKILL); it is started again']);
});

test('a process that was stopped stays stopped', async () => {
  let starts = 0;
  const start = async () => ((starts += 1), fakeProcess(starts).process);
  const kept = await keepRunning({ name: 'vault', start, onProblem: () => undefined });
  await kept.stop();
  expect([starts, kept.current()?.pid]).toEqual([1, undefined]);
});

test('a first start that fails is the caller’s to hear', async () => {
  const start = () => Promise.reject(new Error('no room'));
  await expect(keepRunning({ name: 'vault', start, onProblem: () => undefined })).rejects.toThrow('no room');
});
