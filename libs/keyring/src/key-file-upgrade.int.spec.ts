import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { localKeyAdministration, localKeyService, type KeyFileAccess } from './index.ts';
import { codeOf } from './key-service-contract.spec-support.ts';

interface Golden {
  readonly file: { readonly keys: readonly { readonly key: string }[] };
  /** base64url */
  readonly dataKey: string;
  /** By each of the two master keys. */
  readonly wrapped: readonly string[];
}

let folder = '';
let golden: { readonly tenantId: string; readonly clear: Golden; readonly passphrase: Golden };
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-upgrade-'));
  golden = JSON.parse(await readFile(join(import.meta.dirname, '../golden/key-file-format-1.json'), 'utf8'));
});
afterAll(async () => rm(folder, { recursive: true }));

async function oldKeyFile(name: 'clear' | 'passphrase'): Promise<KeyFileAccess> {
  const keyFile = join(folder, `${newId('correlation')}.json`);
  await writeFile(keyFile, JSON.stringify(golden[name].file));
  await chmod(keyFile, 0o600);
  return { keyFile, passphrase: name === 'clear' ? undefined : Secret.from('correct horse battery staple') };
}

const administer = (access: KeyFileAccess) =>
  localKeyAdministration({ ...access, exclusively: async (work) => await work() });

describe.each(['clear', 'passphrase'] as const)('a key file of format 1, %s,', (name) => {
  async function opens(access: KeyFileAccess): Promise<void> {
    const service = await localKeyService(access);
    const { tenantId } = golden;
    for (const wrapped of golden[name].wrapped) {
      const dataKey = await service.unwrapDataKey({ tenantId, wrapped });
      expect(dataKey.toString('base64url')).toBe(golden[name].dataKey);
    }
    await service.close();
  }

  test('is read as it was written, and any tenant has its key in it', async () => {
    const access = await oldKeyFile(name);
    await opens(access);
    const tenantId = newId('tenant');
    await administer(access).ensureTenantKey({ tenantId });
    expect((await administer(access).status({ tenantId })).keyVersions).toEqual({ oldest: 1, latest: 2 });
  });

  test('cannot let one tenant rotate or retire apart', async () => {
    const access = await oldKeyFile(name);
    const { tenantId } = golden;
    expect(await codeOf(administer(access).rotate({ tenantId }))).toBe('config.invalid');
    expect(await codeOf(administer(access).retireBefore({ tenantId, version: 2 }))).toBe('config.invalid');
  });

  test('upgraded, opens what it wrapped, has no master key any more, and lets a tenant go its own way', async () => {
    const access = await oldKeyFile(name);
    const { tenantId } = golden;
    const neighbour = newId('tenant');
    const administration = administer(access);
    expect(await administration.upgrade([tenantId, neighbour])).toBe(true);
    expect(await administration.upgrade([])).toBe(false);
    await opens(access);
    const text = await readFile(access.keyFile, 'utf8');
    for (const { key } of golden[name].file.keys) expect(text).not.toContain(key);
    expect(await administration.rotate({ tenantId })).toBe(3);
    await administration.retireBefore({ tenantId, version: 3 });
    const service = await localKeyService(access);
    const [wrapped = ''] = golden[name].wrapped;
    expect(await codeOf(service.unwrapDataKey({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
    expect((await service.status({ tenantId: neighbour })).keyVersions).toEqual({ oldest: 1, latest: 2 });
    await service.close();
  });
});
