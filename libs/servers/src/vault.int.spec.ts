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

/** A token of the role, as Postern's vault service gets it. */
async function login(server: VaultServer): Promise<string> {
  const body = { role_id: server.roleId, secret_id: server.secretId };
  const answer = await callVault(address(server), { method: 'POST', path: 'auth/approle/login', body });
  return (answer.body['auth'] as { client_token: string }).client_token;
}

async function transit(server: VaultServer, token: string): Promise<VaultAnswer> {
  const at = address(server);
  await callVault(at, { method: 'POST', path: 'transit/keys/ten_1', token, body: {} });
  return callVault(at, { method: 'POST', path: 'transit/datakey/wrapped/ten_1', token, body: {} });
}

await describeWithServer('vault', 'startVault', () => {
  test('dev mode has transit and its role, and leaves no folder', async () => {
    const server = await start({ mode: 'dev' });
    expect(server.caCertPath).toBeUndefined();
    expect(await transit(server, await login(server))).toMatchObject({ status: 200 });
    await server.seal();
    expect(await transit(server, server.rootToken)).toMatchObject({ status: 503 });
    await server.unseal();
    expect(await transit(server, server.rootToken)).toMatchObject({ status: 200 });
  });

  test('the role may use transit and nothing else', async () => {
    const server = await start(onFiles());
    const token = await login(server);
    expect(await transit(server, token)).toMatchObject({ status: 200 });
    for (const path of ['sys/mounts', 'sys/policies/acl/postern-transit', 'auth/token/lookup-self', 'cubbyhole/x']) {
      expect(await callVault(address(server), { method: 'GET', path, token })).toMatchObject({ status: 403 });
    }
    const exportKey = { method: 'GET', path: 'transit/export/encryption-key/ten_1', token } as const;
    expect(await callVault(address(server), exportKey)).toMatchObject({ status: 403 });
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

  test('starts again on the same data after SIGKILL, with the same role', async () => {
    const first = await start(onFiles());
    const made = await transit(first, await login(first));
    const { ciphertext } = made.body['data'] as { ciphertext: string };
    await first.kill();
    const second = await start(onFiles({ port: first.port }));
    expect(second).toMatchObject({ url: first.url, roleId: first.roleId, secretId: first.secretId });
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
