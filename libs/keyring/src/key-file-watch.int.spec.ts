import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@postern/contracts';
import { createKeyFile, localKeyAdministration, localKeyService } from './index.ts';
import { KeyFileWatch } from './key-file-watch.ts';
import { TenantKeyRing } from './key-ring.ts';
import { codeOf } from './key-service-contract.spec-support.ts';

const noLook = { checkIntervalMs: 3_600_000 };
const tenantId = newId('tenant');
let folder = '';
let keyFile = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-watch-'));
  keyFile = join(folder, 'keyring.key');
  await createKeyFile({ keyFile });
  await administration().ensureTenantKey({ tenantId });
});
afterEach(async () => rm(folder, { recursive: true }));

const administration = () => localKeyAdministration({ keyFile, exclusively: async (work) => await work() });

function keyIn({ ring }: KeyFileWatch, version: number): Buffer {
  const key = ring instanceof TenantKeyRing ? ring.tenants.get(tenantId)?.get(version) : undefined;
  return key ?? Buffer.alloc(0);
}

describe('a key file that changes under a running service', () => {
  test('is read again, and the keys before it are wiped from memory', async () => {
    const watch = await KeyFileWatch.open({ keyFile }, noLook);
    const before = keyIn(watch, 1);
    const material = Buffer.from(before);
    await administration().rotate({ tenantId });
    await watch.check();
    expect(watch.ring.versionsOf(tenantId)).toEqual({ oldest: 1, latest: 2 });
    expect(before.equals(Buffer.alloc(32))).toBe(true);
    expect(keyIn(watch, 1)).toEqual(material);
    watch.close();
    expect(keyIn(watch, 1).equals(Buffer.alloc(32))).toBe(true);
  });

  test('is read by whoever asks after the change, also while an older look is under way', async () => {
    const watch = await KeyFileWatch.open({ keyFile }, noLook);
    const older = watch.check();
    await administration().rotate({ tenantId });
    await Promise.all([older, watch.check()]);
    expect(watch.ring.versionsOf(tenantId)?.latest).toBe(2);
    watch.close();
  });

  test('is noticed without a question', async () => {
    const watch = await KeyFileWatch.open({ keyFile }, { checkIntervalMs: 5 });
    await administration().rotate({ tenantId });
    while (watch.ring.versionsOf(tenantId)?.latest !== 2) await new Promise((resolve) => setImmediate(resolve));
    watch.close();
  });

  const slips: [string, () => Promise<void>][] = [
    ['gone', () => rename(keyFile, `${keyFile}.away`)],
    ['open to others', () => chmod(keyFile, 0o644)],
    ['damaged', () => writeFile(keyFile, '{}')],
  ];
  test.each(slips)('that is %s takes no key away, and the service says what is wrong', async (_name, slip) => {
    const service = await localKeyService({ keyFile });
    const { plaintext, wrapped } = await service.generateDataKey({ tenantId });
    await slip();
    const { ready, reason } = await service.status({ tenantId });
    expect({ ready, told: reason !== undefined }).toEqual({ ready: true, told: true });
    expect(await service.unwrapDataKey({ tenantId, wrapped })).toEqual(plaintext);
    expect(await codeOf(localKeyService({ keyFile }))).toBe('config.invalid');
    await service.close();
  });

  test('that is mended is in use again', async () => {
    const service = await localKeyService({ keyFile });
    await chmod(keyFile, 0o644);
    expect((await service.status()).reason).toBeDefined();
    await chmod(keyFile, 0o600);
    expect((await service.status()).reason).toBeUndefined();
    await service.close();
  });
});
