import { appendFile, chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { createKeyFile, localKeyAdministration, localKeyService, type KeyFileAccess } from './index.ts';
import { keyAdministrationContract } from './key-administration-contract.spec-support.ts';
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

/** One change at a time, in this process. */
function administer(access: KeyFileAccess) {
  let last: Promise<unknown> = Promise.resolve();
  const exclusively = async <T>(work: () => Promise<T>): Promise<T> => {
    const done = last.then(work);
    last = done.catch(() => undefined);
    return await done;
  };
  return localKeyAdministration({ ...access, exclusively });
}

/** A key file that knows a tenant. */
async function tenantKeyFile(secret?: Secret): Promise<{ access: KeyFileAccess; tenantId: string }> {
  const access = await freshKeyFile(secret);
  const tenantId = newId('tenant');
  await administer(access).ensureTenantKey({ tenantId });
  return { access, tenantId };
}

type Content = Record<string, unknown> & { readonly tenants: Readonly<Record<string, readonly unknown[]>> };

async function rewrite({ keyFile }: KeyFileAccess, change: (content: Content) => unknown): Promise<void> {
  const content: Content = JSON.parse(await readFile(keyFile, 'utf8'));
  await writeFile(keyFile, JSON.stringify(change(content)));
}

function start(secret: Secret | undefined): () => Promise<KeyServiceHarness> {
  return async () => {
    const access = await freshKeyFile(secret);
    const tenantIds = [newId('tenant'), newId('tenant')] as const;
    for (const tenantId of tenantIds) await administer(access).ensureTenantKey({ tenantId });
    const service = await localKeyService(access);
    return { service, tenantIds, stop: async () => service.close() };
  };
}

keyAdministrationContract('the local administration', async () => {
  const access = await freshKeyFile();
  const service = await localKeyService(access);
  return {
    administration: administer(access),
    service,
    reopen: () => localKeyService(access),
    freshTenant: async () => newId('tenant'),
    stop: async () => service.close(),
  };
});

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
        expect(await codeOf(administer(access).rotate({ tenantId: newId('tenant') }))).toBe('config.invalid');
      }
      await chmod(access.keyFile, 0o400);
      expect((await (await localKeyService(access)).status()).ready).toBe(true);
    });

    test('missing, empty, damaged or not a file is refused', async () => {
      expect(await codeOf(localKeyService({ keyFile: join(folder, 'none'), passphrase: secret }))).toBe(
        'config.invalid',
      );
      expect(await codeOf(localKeyService({ keyFile: folder, passphrase: secret }))).toBe('config.invalid');
      const head = '"format":"postern-key-file","formatVersion"';
      const texts = ['', 'null', '[]', '{}', `{${head}:1,"keys":[]}`, `{${head}:2}`, `{${head}:2,"tenants":[]}`];
      for (const text of [...texts, `{${head}:3,"tenants":{}}`, `{${head}:2,"tenants":{"con_x":[]}}`]) {
        const access = await freshKeyFile(secret);
        await writeFile(access.keyFile, text);
        expect(await codeOf(localKeyService(access))).toBe('config.invalid');
      }
    });

    test('larger than any key file is refused, whole or not', async () => {
      const access = await freshKeyFile(secret);
      await appendFile(access.keyFile, ' '.repeat(16 * 1024 * 1024));
      expect(await codeOf(localKeyService(access))).toBe('config.invalid');
    });

    test('with keys that are short, doubled or badly numbered is refused', async () => {
      const changes: ((keys: readonly unknown[]) => unknown)[] = [
        () => [],
        (keys) => [...keys, ...keys],
        () => [{ version: 1, key: 'AAAA' }],
        () => [{ version: 0, key: 'A'.repeat(43) }],
        () => [null],
      ];
      for (const change of changes) {
        const { access, tenantId } = await tenantKeyFile(secret);
        await rewrite(access, (content) => ({
          ...content,
          tenants: { [tenantId]: change(content.tenants[tenantId] ?? []) },
        }));
        expect(await codeOf(localKeyService(access))).toBe('config.invalid');
      }
    });

    test('keeps a wrapped key to the version that wrapped it, and its own mode through every change', async () => {
      const { access, tenantId } = await tenantKeyFile(secret);
      await administer(access).rotate({ tenantId });
      const service = await localKeyService(access);
      const { wrapped } = await service.generateDataKey({ tenantId });
      expect(wrapped).toMatch(/^local:v1:2:/);
      const relabelled = wrapped.replace('v1:2:', 'v1:1:');
      expect(await codeOf(service.unwrapDataKey({ tenantId, wrapped: relabelled }))).toBe('vault.ciphertext_invalid');
      expect((await stat(access.keyFile)).mode & 0o777).toBe(0o600);
    });

    test('changed by many at once loses no key', async () => {
      const access = await freshKeyFile(secret);
      const administration = administer(access);
      const tenantIds = [1, 2, 3, 4].map(() => newId('tenant'));
      await Promise.all(tenantIds.map((tenantId) => administration.ensureTenantKey({ tenantId })));
      await Promise.all(tenantIds.map((tenantId) => administration.rotate({ tenantId })));
      for (const tenantId of tenantIds) {
        expect((await administration.status({ tenantId })).keyVersions).toEqual({ oldest: 1, latest: 2 });
      }
    });

    test('of another installation opens nothing of this one', async () => {
      const accesses = [await freshKeyFile(secret), await freshKeyFile(secret)] as const;
      const tenantId = newId('tenant');
      for (const access of accesses) await administer(access).ensureTenantKey({ tenantId });
      const [one, other] = [await localKeyService(accesses[0]), await localKeyService(accesses[1])];
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

  test('keeps keys out of the file, and its parameters cannot be weakened or blown up', async () => {
    const { access, tenantId } = await tenantKeyFile(passphrase);
    const text = await readFile(access.keyFile, 'utf8');
    expect(JSON.parse(text).tenants[tenantId][0].key.length).toBeGreaterThan(43);
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
      await rewrite(changed, ({ argon2id, ...content }) => ({
        ...content,
        argon2id: { ...(argon2id as object), ...change },
      }));
      expect(await codeOf(localKeyService(changed))).toBe('config.invalid');
    }
  });
});

describe('a key file of another tenant or version', () => {
  test('under a passphrase has no key that opens elsewhere', async () => {
    const { access, tenantId } = await tenantKeyFile(passphrase);
    const { keyFile } = access;
    const whole = await readFile(keyFile, 'utf8');
    const moves: ((keys: readonly unknown[]) => Record<string, unknown>)[] = [
      (keys) => ({ [newId('tenant')]: keys }),
      (keys) => ({ [tenantId]: [{ ...(keys[0] as object), version: 2 }] }),
    ];
    for (const move of moves) {
      await writeFile(keyFile, whole);
      await rewrite(access, (content) => ({ ...content, tenants: move(content.tenants[tenantId] ?? []) }));
      expect(await codeOf(localKeyService(access))).toBe('config.invalid');
    }
  });
});
