import { execFile } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { isPosternError } from '@postern/contracts';
import { transitKeyAdministration } from '@postern/keyring';
import { describeWithServer, temporaryDataDir } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { dataFolder, type DataFolder } from '../data-folder/paths.ts';
import { readSupervisorFile } from '../session/supervisor-file.ts';
import { startStack, type Stack } from './stack.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const stackMs = 240_000;
const patienceMs = 60_000;

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function postern(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...args], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

await describeWithServer('vault', 'postern up --keyring vault', () => {
  let root: string;
  let folder: DataFolder;
  let stack: Stack | undefined;

  beforeAll(async () => {
    root = temporaryDataDir('postern-key-server-');
    folder = await dataFolder(join(root, 'data'));
  });
  afterAll(async () => {
    await stack?.stop();
    rmSync(root, { recursive: true, force: true });
  }, stackMs);

  const start = async (keyring?: 'local' | 'vault') => {
    stack = await startStack({ folder, host: '127.0.0.1', port: 0, keyring, onProgress: () => undefined });
  };
  const pidOf = (name: string) => stack?.processes().find((one) => one.name === name)?.pid ?? 0;

  async function statusOf(tenantId: string) {
    const administration = await transitKeyAdministration({
      url: readSupervisorFile(folder).keyServerUrl ?? '',
      caFile: folder.keyServerCaFile,
      roleIdFile: folder.roleIdFile('provisioner'),
      secretIdFile: folder.secretIdFile('provisioner'),
    });
    try {
      return await administration.status({ tenantId });
    } finally {
      await administration.close();
    }
  }

  async function keyServiceCheck(): Promise<string> {
    const answer = await fetch(`http://127.0.0.1:${readSupervisorFile(folder).services['vault']}/readyz`);
    return ((await answer.json()) as { checks: Record<string, string> }).checks['key_service'] ?? '';
  }

  test(
    'tenants get their keys, the vault alone gets its role, and a killed key server comes back open',
    async () => {
      await start('vault');
      expect(await statusOf(stack?.tenantId ?? '')).toMatchObject({
        ready: true,
        keyVersions: { oldest: 1, latest: 1 },
      });
      const made = await postern(['tenants', 'create', '--name', 'Second', '--data', folder.root, '--json']);
      const { tenant_id: second } = JSON.parse(made.stdout) as { tenant_id: string };
      expect(await statusOf(second)).toMatchObject({ ready: true, keyVersions: { oldest: 1, latest: 1 } });
      for (const identity of ['vault', 'provisioner'] as const) {
        for (const path of [folder.roleIdFile(identity), folder.secretIdFile(identity)]) {
          expect([path, statSync(path).mode & 0o777]).toEqual([path, 0o600]);
        }
      }
      expect(existsSync(folder.keyringFile)).toBe(false);

      // A Vault elsewhere, by the variables of production.
      const elsewhere = {
        POSTERN_KEYRING: 'transit',
        POSTERN_KEYRING_VAULT_URL: 'https://127.0.0.1:9',
        POSTERN_KEYRING_VAULT_ROLE_ID_FILE: folder.roleIdFile('provisioner'),
      };
      const secretId = { POSTERN_KEYRING_VAULT_SECRET_ID_FILE: folder.secretIdFile('provisioner') };
      const create = ['tenants', 'create', '--name', 'Third', '--data', folder.root];
      expect(await postern(create, { ...elsewhere, ...secretId })).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(/key_service_unavailable: .*127\.0\.0\.1:9 does not answer \(ECONNREFUSED\)/),
      });
      expect(await postern(create, elsewhere)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/POSTERN_KEYRING_VAULT_SECRET_ID_FILE is not set/),
      });

      const before = pidOf('vault-server');
      process.kill(before, 'SIGKILL');
      await waitFor(() => pidOf('vault-server') > 0 && pidOf('vault-server') !== before, {
        timeoutMs: patienceMs,
        describe: 'the key server was not started again',
      });
      await waitFor(async () => (await keyServiceCheck()) === 'ok', {
        timeoutMs: patienceMs,
        describe: keyServiceCheck,
      });
      expect(await statusOf(second)).toMatchObject({ ready: true });
    },
    stackMs,
  );

  test(
    'the data folder remembers: another keyring is refused in words, none is the same',
    async () => {
      await stack?.stop();
      const refused = await postern(['up', '--keyring', 'local', '--data', folder.root, '--port', '0']);
      expect([refused.code, refused.stderr]).toEqual([
        2,
        expect.stringMatching(/config\.invalid: .*begun with --keyring vault/),
      ]);
      const error: unknown = await startStack({
        folder,
        host: '127.0.0.1',
        port: 0,
        keyring: 'local',
        onProgress: () => undefined,
      }).catch((thrown: unknown) => thrown);
      expect(isPosternError(error) && error.code).toBe('config.invalid');
      await start();
      expect(await keyServiceCheck()).toBe('ok');
      expect((await postern(['up', '--keyring', 'paper'])).code).toBe(2);
    },
    stackMs,
  );
});
