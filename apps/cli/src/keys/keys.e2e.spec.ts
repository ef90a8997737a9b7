import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { KeysStatus } from '@postern/contracts';
import { describeWithServer, temporaryDataDir } from '@postern/servers';
import { waitFor } from '@postern/testing';

import type { RunResult } from './rewrap-tenant.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const testTimeoutMs = 240_000;
type Status = KeysStatus & { readonly tenant_id: string };

await describeWithServer('nats-server', 'postern keys, on a running installation,', () => {
  const data = temporaryDataDir('postern-cli-keys-');
  let stack: ChildProcess;
  let first = '';

  /** Runs one command; its JSON, or what it ended with. */
  async function postern<T>(...args: string[]): Promise<T> {
    const { stdout } = await promisify(execFile)(process.execPath, [command, ...args, '--data', data, '--json']);
    return JSON.parse(stdout) as T;
  }
  const exitCode = async (...args: string[]): Promise<unknown> =>
    await postern(...args).then(
      () => 0,
      (error: unknown) => (error as { code: unknown }).code,
    );
  const status = async (...args: string[]) => await postern<Status[]>('keys', 'status', ...args);

  async function secret(tenantId: string, name: string): Promise<void> {
    const file = join(data, 'a-secret');
    await writeFile(file, `the secret ${name}`);
    const client = [
      '--provider',
      'openid-connect',
      '--name',
      name,
      '--client-id',
      name,
      '--parameter',
      'issuer=https://a.example',
    ];
    await postern('registrations', 'create', ...client, '--client-secret-file', file, '--tenant', tenantId);
  }

  const keysInFile = (tenantId: string): number[] => {
    const file = JSON.parse(readFileSync(join(data, 'keyring/keyring.key'), 'utf8')) as {
      tenants: Record<string, { version: number }[]>;
    };
    return file.tenants[tenantId]?.map(({ version }) => version) ?? [];
  };

  beforeAll(async () => {
    stack = spawn(process.execPath, [command, 'up', '--data', data, '--port', '0', '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    stack.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    await waitFor(() => text.trimEnd().endsWith('}'), { timeoutMs: 180_000, describe: 'postern up' });
    first = (JSON.parse(text) as { tenant_id: string }).tenant_id;
  }, testTimeoutMs);

  afterAll(async () => {
    if (stack.exitCode === null) {
      stack.kill('SIGINT');
      await once(stack, 'exit');
    }
    await rm(data, { recursive: true, force: true });
  }, testTimeoutMs);

  test(
    'rotate a tenant apart, replace its data keys, and let the old version go',
    async () => {
      const { tenant_id: second } = await postern<{ tenant_id: string }>('tenants', 'create', '--name', 'second');
      await secret(first, 'one');
      await secret(first, 'two');
      await secret(second, 'three');
      const before = await status();
      expect(before.map((one) => one.tenant_id).toSorted()).toEqual([first, second].toSorted());
      expect(before.find((one) => one.tenant_id === first)).toMatchObject({
        key_service: { kind: 'local', ready: true, oldest: 1, latest: 1 },
        data_keys: { total: 2, wrapped_by: [{ version: 1, count: 2 }] },
      });

      const rotated = await postern<RunResult[]>('keys', 'rotate', '--data-keys', '--tenant', first);
      expect(rotated).toMatchObject([{ tenant_id: first, version: 2, total: 2, done: 2, retired_before: null }]);
      expect(keysInFile(first)).toEqual([1, 2]);
      const retired = await postern<RunResult[]>('keys', 'rewrap', '--retire', '--tenant', first);
      expect(retired).toMatchObject([{ tenant_id: first, version: 2, failed: [], retired_before: 2 }]);
      expect([keysInFile(first), keysInFile(second)]).toEqual([[2], [1]]);
      expect(await status('--tenant', first)).toMatchObject([
        {
          key_service: { oldest: 2, latest: 2 },
          data_keys: { wrapped_by: [{ version: 2, count: 2 }], made_under: [{ version: 2, count: 2 }] },
          gone_before: 2,
        },
      ]);
      await secret(first, 'four');

      const all = await postern<RunResult[]>('keys', 'rotate', '--retire');
      const ended = new Map(all.map((one) => [one.tenant_id, [one.version, one.done, one.retired_before]]));
      expect([ended.get(first), ended.get(second)]).toEqual([
        [3, 3, 3],
        [2, 1, 2],
      ]);
    },
    testTimeoutMs,
  );

  test(
    'end with the documented codes',
    async () => {
      expect(await exitCode('keys', 'status', '--tenant', 'no-tenant')).toBe(2);
      expect(await exitCode('keys', 'melt')).toBe(2);
      stack.kill('SIGINT');
      await once(stack, 'exit');
      expect(await exitCode('keys', 'status')).toBe(3);
    },
    testTimeoutMs,
  );
});
