import { appendFile, chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { createKeyFile, localKeyService, rotateKeyFile, type KeyFileAccess } from './index.ts';
import { codeOf, keyServiceContract, type KeyServiceHarness } from './key-service-contract.spec-support.ts';

const passphrase = Secret.from('correct horse battery staple');
const variants: readonly (readonly [string, Secret | undefined])[] = [
  ['a key file', undefined],
  ['a key file under a passphrase', passphrase],
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-keyring-'));
});
afterAll(async () => rm(folder, { recursive: true }));

async function freshKeyFile(secret?: Secret): Promise<KeyFileAccess> {
  const access = { keyFile: join(folder, `${newId('correlation')}.json`), passphrase: secret };
  await createKeyFile(access);
  return access;
}

async function rewrite({ keyFile }: KeyFileAccess, change: (content: { keys: unknown[] }) => unknown): Promise<void> {
  const content: { keys: unknown[] } = JSON.parse(await readFile(keyFile, 'utf8'));
  await writeFile(keyFile, JSON.stringify(change(content)));
}

function start(secret: Secret | undefined): () => Promise<KeyServiceHarness> {
  return async () => {
    const service = await localKeyService(await freshKeyFile(secret));
    return { service, tenantIds: [newId('tenant'), newId('tenant')], stop: async () => service.close() };
  };
}

for (const [name, secret] of variants) {
  keyServiceContract(`the local service on ${name}`, start(secret));

  describe(name, () => {
    test('is made for its owner alone, once, and leaves no draft behind', async () => {
      const access = await freshKeyFile(secret);
      expect((await stat(access.keyFile)).mode & 0o777).toBe(0o600);
      const before = await readFile(access.keyFile);
      expect(await codeOf(createKeyFile(access))).toBe('config.invalid');
      expect(await readFile(access.keyFile)).toEqual(before);
      expect((await readdir(folder)).filter((file) => file.endsWith('.draft'))).toEqual([]);
    });

    test('that group or others may use is refused', async () => {
      const access = await freshKeyFile(secret);
      for (const mode of [0o640, 0o604, 0o660, 0o610, 0o602]) {
        await chmod(access.keyFile, mode);
        expect(await codeOf(localKeyService(access))).toBe('config.invalid');
        expect(await codeOf(rotateKeyFile(access))).toBe('config.invalid');
      }
      await chmod(access.keyFile, 0o400);
      expect((await (await localKeyService(access)).status()).ready).toBe(true);
    });

    test('missing, empty, damaged or not a file is refused', async () => {
      expect(await codeOf(localKeyService({ keyFile: join(folder, 'none'), passphrase: secret }))).toBe(
        'config.invalid',
      );
      expect(await codeOf(localKeyService({ keyFile: folder, passphrase: secret }))).toBe('config.invalid');
      for (const text of ['', 'null', '{}', '{"format":"postern-key-file","formatVersion":1,"keys":[]}']) {
        const access = await freshKeyFile(secret);
        await writeFile(access.keyFile, text);
        expect(await codeOf(localKeyService(access))).toBe('config.invalid');
      }
    });

    test('larger than any key file is refused, whole or not', async () => {
      const access = await freshKeyFile(secret);
      await appendFile(access.keyFile, ' '.repeat(65_536));
      expect(await codeOf(localKeyService(access))).toBe('config.invalid');
    });

    test('with keys that are short, doubled or badly numbered is refused', async () => {
      const changes: ((keys: unknown[]) => unknown)[] = [
        () => [],
        (keys) => [...keys, ...keys],
        () => [{ version: 1, key: 'AAAA' }],
        () => [{ version: 0, key: 'A'.repeat(43) }],
        () => [null],
      ];
      for (const change of changes) {
        const access = await freshKeyFile(secret);
        await rewrite(access, (content) => ({ ...content, keys: change(content.keys) }));
        expect(await codeOf(localKeyService(access))).toBe('config.invalid');
      }
    });

    test('rotated, opens what was wrapped before and rewraps it under the new version', async () => {
      const access = await freshKeyFile(secret);
      const tenantId = newId('tenant');
      const { plaintext, wrapped } = await (await localKeyService(access)).generateDataKey({ tenantId });
      expect(await rotateKeyFile(access)).toBe(2);
      const service = await localKeyService(access);
      expect(wrapped).toMatch(/^local:v1:1:/);
      expect(await service.unwrapDataKey({ tenantId, wrapped })).toEqual(plaintext);
      const rewrapped = await service.rewrap({ tenantId, wrapped });
      expect(rewrapped).toMatch(/^local:v1:2:/);
      expect(await service.unwrapDataKey({ tenantId, wrapped: rewrapped })).toEqual(plaintext);
      const relabelled = rewrapped.replace('v1:2:', 'v1:1:');
      expect(await codeOf(service.unwrapDataKey({ tenantId, wrapped: relabelled }))).toBe('vault.ciphertext_invalid');
      expect((await service.status()).keyVersions).toEqual({ oldest: 1, latest: 2 });
      expect((await stat(access.keyFile)).mode & 0o777).toBe(0o600);
    });

    test('of another installation opens nothing of this one', async () => {
      const [one, other] = [
        await localKeyService(await freshKeyFile(secret)),
        await localKeyService(await freshKeyFile(secret)),
      ];
      const tenantId = newId('tenant');
      const { wrapped } = await one.generateDataKey({ tenantId });
      expect(await codeOf(other.unwrapDataKey({ tenantId, wrapped }))).toBe('vault.ciphertext_invalid');
    });
  });
}

describe('a passphrase', () => {
  test('that is wrong, missing or too many is refused at start', async () => {
    const { keyFile } = await freshKeyFile(passphrase);
    const open = await freshKeyFile();
    expect(await codeOf(localKeyService({ keyFile, passphrase: Secret.from('correct horse battery stable') }))).toBe(
      'config.invalid',
    );
    expect(await codeOf(localKeyService({ keyFile }))).toBe('config.invalid');
    expect(await codeOf(localKeyService({ ...open, passphrase }))).toBe('config.invalid');
  });

  test('shorter than its minimum makes no key file', async () => {
    const keyFile = join(folder, 'weak.json');
    expect(await codeOf(createKeyFile({ keyFile, passphrase: Secret.from('elevenchars') }))).toBe('config.invalid');
    expect(await codeOf(stat(keyFile))).toBe('ENOENT');
  });

  test('is the same in either spelling of an accent', async () => {
    const access = await freshKeyFile(Secret.from('Geh\u00e4use mit Umlaut'));
    const service = await localKeyService({ ...access, passphrase: Secret.from('Geha\u0308use mit Umlaut') });
    expect((await service.status()).ready).toBe(true);
  });

  test('keeps master keys out of the file, and its parameters cannot be weakened or blown up', async () => {
    const access = await freshKeyFile(passphrase);
    const text = await readFile(access.keyFile, 'utf8');
    expect(text).not.toContain(passphrase.reveal());
    expect(JSON.parse(text).argon2id).toMatchObject({ memoryKiB: 65_536, passes: 3, lanes: 4 });
    const changes = [
      { memoryKiB: 1_024 },
      { memoryKiB: 2 ** 31 },
      { passes: 0 },
      { passes: 2 },
      { lanes: 99 },
      { salt: 'AA' },
    ];
    for (const change of changes) {
      const changed = await freshKeyFile(passphrase);
      await rewrite(changed, (content) => ({ ...content, argon2id: { ...JSON.parse(text).argon2id, ...change } }));
      expect(await codeOf(localKeyService(changed))).toBe('config.invalid');
    }
  });
});
