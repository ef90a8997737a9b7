import { X509Certificate } from 'node:crypto';
import { readFileSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDataDir } from './data-dir.ts';
import { describeWithServer } from './describe-with-server.ts';
import { startVault } from './vault.ts';
import type { VaultOptions, VaultServer } from './vault.ts';
import { callVault } from './vault-http.ts';
import type { VaultAddress, VaultAnswer } from './vault-http.ts';

let folder: string;
const running: VaultServer[] = [];

beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: VaultOptions): Promise<VaultServer> {
  const server = await startVault(options);
  running.push(server);
  return server;
}

const onFiles = (more: { port?: number } = {}): VaultOptions => ({
  mode: 'server',
  dataDir: join(folder, 'vault'),
  ...more,
});

const address = ({ url, caCertPath }: VaultServer): VaultAddress =>
  caCertPath === undefined ? { url } : { url, ca: readFileSync(caCertPath, 'utf8') };

/** A token of a role, as Postern's vault service gets it. */
async function login(server: VaultServer, role: 'service' | 'provisioner' = 'service'): Promise<string> {
  const { roleId, secretId } = server.roles[role];
  const body = { role_id: roleId, secret_id: secretId };
  const answer = await callVault(address(server), { method: 'POST', path: 'auth/approle/login', body });
  return (answer.body['auth'] as { client_token: string }).client_token;
}

async function makeKey(server: VaultServer): Promise<VaultAnswer> {
  const token = await login(server, 'provisioner');
  const body = { type: 'aes256-gcm96' };
  return callVault(address(server), { method: 'POST', path: 'transit/keys/ten_1', token, body });
}

async function dataKey(server: VaultServer, token: string): Promise<VaultAnswer> {
  return callVault(address(server), { method: 'POST', path: 'transit/datakey/plaintext/ten_1', token, body: {} });
}

await describeWithServer('vault', 'startVault', () => {
  test('dev mode has transit and its role, and leaves no folder', async () => {
    const server = await start({ mode: 'dev' });
    expect(server.caCertPath).toBeUndefined();
    await makeKey(server);
    expect(await dataKey(server, await login(server))).toMatchObject({ status: 200 });
    await server.seal();
    expect(await dataKey(server, server.rootToken)).toMatchObject({ status: 503 });
    await server.unseal();
    expect(await dataKey(server, server.rootToken)).toMatchObject({ status: 200 });
  });

  test('the roles may use, or provision, transit keys and nothing else', async () => {
    const server = await start(onFiles());
    expect((await makeKey(server)).status).toBeLessThan(300);
    const token = await login(server);
    expect(await dataKey(server, token)).toMatchObject({ status: 200 });
    for (const role of ['service', 'provisioner'] as const) {
      const held = await login(server, role);
      for (const path of [
        'sys/mounts',
        'sys/policies/acl/postern-vault',
        'cubbyhole/x',
        'transit/export/encryption-key/ten_1',
      ]) {
        const call = { method: 'GET', path, token: held } as const;
        expect([path, (await callVault(address(server), call)).status]).toEqual([path, 403]);
      }
    }
  });

  test('speaks TLS with a certificate of its own and nothing else', async () => {
    const server = await start(onFiles());
    const ca = new X509Certificate(readFileSync(server.caCertPath as string));
    expect(ca.ca).toBe(true);
    await expect(callVault({ url: server.url }, { method: 'GET', path: 'sys/health' })).rejects.toThrow(/certificate/);
    const plain = await callVault({ url: server.url.replace('https', 'http') }, { method: 'GET', path: 'sys/health' })
      .then(({ status }) => status)
      .catch(() => 400);
    expect(plain).toBe(400);
  });

  test('keeps its keys where nobody else reads them', async () => {
    await start(onFiles());
    for (const name of ['keys.json', 'vault.json', 'vault.log', 'tls/key.pem']) {
      expect([name, statSync(join(folder, 'vault', name)).mode & 0o077]).toEqual([name, 0]);
    }
    expect(readFileSync(join(folder, 'vault', 'vault.log'), 'utf8')).not.toMatch(/hvs\./);
  });

  test('starts again on the same data after SIGKILL, with the same roles', async () => {
    const first = await start(onFiles());
    await makeKey(first);
    const made = await dataKey(first, await login(first));
    const { ciphertext } = made.body['data'] as { ciphertext: string };
    await first.kill();
    const second = await start(onFiles({ port: first.port }));
    expect(second).toMatchObject({ url: first.url, roles: first.roles });
    const token = await login(second);
    const open = { method: 'POST', path: 'transit/decrypt/ten_1', token, body: { ciphertext } } as const;
    expect(await callVault(address(second), open)).toMatchObject({ status: 200 });
  });

  test('data without their keys are refused, not overwritten', async () => {
    const server = await start(onFiles());
    await server.stop();
    unlinkSync(join(folder, 'vault', 'keys.json'));
    await expect(start(onFiles())).rejects.toMatchObject({
      code: 'servers.start_failed',
      message: expect.stringContaining('keys.json'),
    });
  });
});
