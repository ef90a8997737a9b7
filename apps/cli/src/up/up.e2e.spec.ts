import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { describeWithServer, isProcessAlive, temporaryDataDir } from '@postern/servers';
import { waitFor } from '@postern/testing';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const startTimeoutMs = 60_000;

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly tenantId: string;
  readonly pids: readonly number[];
  pidOf(name: string): number;
}

/** Starts `postern up --json` and reads the one object it prints when it is up. */
async function start(data: string): Promise<Started> {
  const child = spawn(process.execPath, [command, 'up', '--data', data, '--port', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  const printed = await new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      text += line;
      if (line === '}') resolve(JSON.parse(text) as Record<string, unknown>);
    });
    child.once('exit', (code) => reject(new Error(`postern up ended with ${code}`)));
  });
  const processes = printed['processes'] as { name: string; pid: number }[];
  return {
    child,
    url: printed['url'] as string,
    tenantId: printed['tenant_id'] as string,
    pids: [child.pid ?? 0, ...processes.map(({ pid }) => pid)],
    pidOf: (name) => processes.find((one) => one.name === name)?.pid ?? 0,
  };
}

async function allGone({ pids }: Started): Promise<void> {
  await waitFor(() => pids.every((pid) => !isProcessAlive(pid)), {
    timeoutMs: 30_000,
    describe: () => `these processes live on: ${pids.filter((pid) => isProcessAlive(pid)).join(', ')}`,
  });
}

async function isUp({ url }: Started): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`);
  return answer.ok;
}

await describeWithServer('nats-server', 'postern up', () => {
  const data = temporaryDataDir('postern-up-');
  const one = join(data, 'one');
  const stacks: Started[] = [];
  const started = async (folder = one): Promise<Started> => {
    const stack = await start(folder);
    stacks.push(stack);
    return stack;
  };
  /** The one that each test leaves to the next: starting takes its time. */
  let stack: Started;
  let other: Started;

  beforeAll(async () => {
    [stack, other] = await Promise.all([started(), started(join(data, 'other'))]);
  }, 3 * startTimeoutMs);
  afterAll(async () => {
    for (const { child } of stacks) child.kill('SIGKILL');
    for (const each of stacks) await allGone(each);
    await rm(data, { recursive: true, force: true });
  }, 3 * startTimeoutMs);

  test(
    'two on folders of their own stand side by side',
    async () => {
      expect([await isUp(stack), await isUp(other), stack.url === other.url]).toEqual([true, true, false]);
      other.child.kill('SIGKILL');
      await allGone(other);
      expect(await isUp(stack)).toBe(true);
    },
    3 * startTimeoutMs,
  );

  test(
    'Ctrl-C leaves no process, and starting again goes on with the same tenant',
    async () => {
      stack.child.kill('SIGINT');
      await allGone(stack);
      const { tenantId } = stack;
      stack = await started();
      expect([await isUp(stack), stack.tenantId]).toEqual([true, tenantId]);
    },
    3 * startTimeoutMs,
  );

  test(
    'kill -9 of the supervisor leaves no process and no lock',
    async () => {
      stack.child.kill('SIGKILL');
      await allGone(stack);
      stack = await started();
      expect(await isUp(stack)).toBe(true);
    },
    3 * startTimeoutMs,
  );

  test(
    'a service that is killed is started again',
    async () => {
      const vault = stack.pidOf('vault');
      process.kill(vault, 'SIGKILL');
      await waitFor(() => !isProcessAlive(vault), { describe: 'the killed service lives' });
      const file = JSON.parse(readFileSync(join(one, 'supervisor.json'), 'utf8')) as {
        services: { vault: number };
      };
      const ready = () =>
        fetch(`http://127.0.0.1:${file.services.vault}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      await waitFor(ready, { timeoutMs: 30_000, describe: 'it did not come back' });
    },
    3 * startTimeoutMs,
  );
});
