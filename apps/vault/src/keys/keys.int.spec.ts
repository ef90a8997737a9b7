import { copyFileSync } from 'node:fs';

import { newId, operations, PosternError } from '@postern/contracts';
import { createWebhook, storeWebhookSecret, webhookEvolver } from '@postern/domain';
import type { RunningService } from '@postern/service';

import { Credentials } from '../credentials.ts';
import { DataKeys, KeyServiceHolder } from '../data-keys.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import {
  claimed,
  complete,
  connected,
  exchangingSession,
  promote,
  refreshed,
  released,
  storePending,
  type ConnectionRef,
} from '../spec-journeys.ts';
import { codeOf, tokenSetOf } from '../spec-world.ts';
import { failuresOf, forget, KeysSpec } from './spec-keys.ts';

const keys = new KeysSpec();
beforeAll(async () => keys.start('keys'), 180_000);
beforeEach(async () => {
  keys.customer = await keys.world.customer();
});
afterAll(async () => keys.stop());

describe('a rewrap', () => {
  test('goes in steps that tell how far it is, and afterwards the old version can go', async () => {
    const refs = await keys.connections(4);
    await keys.storeSecret('secret');
    expect(await keys.world.keyring.rotate(keys.tenant)).toBe(2);
    const steps = await keys.rewrapped(2, { limit: 2 });
    expect(steps.map(({ total, done }) => ({ total, done }))).toEqual([
      { total: 5, done: 2 },
      { total: 5, done: 4 },
      { total: 5, done: 5 },
    ]);
    expect(failuresOf(steps)).toEqual([]);
    await keys.world.keyring.retireBefore({ ...keys.tenant, version: 2 });
    await keys.retired(2);
    for (const [n, ref] of refs.entries()) {
      for (const by of [keys.vault, keys.other]) {
        forget(by, ref);
        expect(await keys.tokenOf(ref, { by })).toBe(`access-${n}`);
      }
    }
    expect(await keys.releaseSecret()).toBe('secret');
  });

  test('that was killed in the middle is resumed by the next one: what is done stands in the rows', async () => {
    await keys.connections(3);
    await keys.world.keyring.rotate(keys.tenant);
    expect(await keys.step(2, { limit: 2 })).toMatchObject({ total: 3, done: 2 });
    const before = await keys.asAttacker(
      'select wrapped_key from vault.data_key where tenant_id = ? and wrapped_version = 2',
      [keys.customer.tenantId],
    );
    const resumed = await keys.rewrapped(2);
    expect(resumed).toMatchObject([{ total: 3, done: 3, next: null }]);
    const after = await keys.asAttacker<{ wrapped_key: string }>(
      'select wrapped_key from vault.data_key where tenant_id = ?',
      [keys.customer.tenantId],
    );
    expect(after).toEqual(expect.arrayContaining(before));
  });

  test('by two at once does no harm', async () => {
    const refs = await keys.connections(4);
    await keys.world.keyring.rotate(keys.tenant);
    const runs = await Promise.all([1, 2, 3].map(() => keys.rewrapped(2, { limit: 2 })));
    expect(failuresOf(runs.flat())).toEqual([]);
    expect((await keys.status()).data_keys.wrapped_by).toEqual([{ version: 2, count: 4 }]);
    for (const ref of refs) forget(keys.vault, ref);
    expect(await Promise.all(refs.map((ref) => keys.tokenOf(ref)))).toHaveLength(4);
  });

  test('is refused for a version that the key service does not wrap by', async () => {
    await keys.connections(1);
    expect(await codeOf(keys.step(2))).toBe('vault.key_service_unavailable');
    expect((await keys.status()).refused_before).toBeNull();
  });

  test('keeps a vault that has not seen the newest key from wrapping by an old one', async () => {
    const stale = `${keys.folder}/stale-${keys.customer.tenantId}.json`;
    copyFileSync(`${keys.folder}/world/keyring.json`, stale);
    const lagging = await keys.world.startVault({ POSTERN_KEYRING_KEY_FILE: stale });
    try {
      await keys.world.keyring.rotate(keys.tenant);
      // Any vault may be asked, and the lagging one refuses: it is asked until one of the others was.
      while ((await codeOf(keys.step(2))) !== 'nothing was refused')
        expect((await keys.status()).refused_before).toBeNull();
      const session = await exchangingSession(keys.world, keys.customer);
      const store = async () => {
        const { sessionId } = session;
        const until = { sessionId, expiresAtMs: Date.now() + 60_000 };
        await lagging.get(PendingCredentials).insert(await keys.ownerOf(session), until, tokenSetOf('x'));
      };
      expect(await codeOf(store())).toBe('vault.key_service_unavailable');
      expect(await keys.dataKeyOf(session.connectionId)).toBeUndefined();
      copyFileSync(`${keys.folder}/world/keyring.json`, stale);
      await store();
      expect((await keys.dataKeyOf(session.connectionId))?.wrapped_key).toMatch(/^local:v1:2:/);
    } finally {
      await lagging.stop();
    }
  });

  test('hides nothing from a lease that was unwrapping the older wrapping as its version went', async () => {
    const [ref] = (await keys.connections(1)) as [ConnectionRef];
    const { keyService } = keys.other.get(KeyServiceHolder);
    const unwrap = keyService.unwrapDataKey.bind(keyService);
    let gone = false;
    keyService.unwrapDataKey = async (key) => {
      if (!gone) {
        gone = true;
        await keys.world.keyring.rotate(keys.tenant);
        await keys.rewrapped(2);
        await keys.world.keyring.retireBefore({ ...keys.tenant, version: 2 });
        await keyService.status(keys.tenant);
      }
      return await unwrap(key);
    };
    try {
      expect(await keys.tokenOf(ref, { by: keys.other })).toBe('access-0');
    } finally {
      keyService.unwrapDataKey = unwrap;
    }
  });

  test('tells a data key that does not open, records it, and does the others', async () => {
    const [mine, theirs] = (await keys.connections(2)) as [ConnectionRef, ConnectionRef];
    const stranger = await connected(keys.world, await keys.world.customer());
    await keys.asAttacker(
      `update vault.data_key set wrapped_key = (select wrapped_key from vault.data_key where owner_id = ?) where owner_id = ?`,
      [stranger.connectionId, mine.connectionId],
    );
    await keys.world.keyring.rotate(keys.tenant);
    const steps = await keys.rewrapped(2);
    expect(failuresOf(steps)).toEqual([{ owner_id: mine.connectionId, code: 'vault.ciphertext_invalid' }]);
    expect(steps.at(-1)).toMatchObject({ total: 2, done: 1 });
    expect(await keys.recordsOf(mine.connectionId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open data_key' },
    ]);
    forget(keys.vault, theirs);
    expect(await keys.tokenOf(theirs)).toBe('access-1');
  });
});

describe('a rotation of data keys', () => {
  /** Which DPoP key the connection has. */
  async function jktOf({ tenantId: tenant_id, connectionId: connection_id }: ConnectionRef): Promise<string> {
    const request = { tenant_id, connection_id, htm: 'POST', htu: 'https://provider.example/token' } as const;
    return (await keys.world.call('refresh', operations.signDpopProof, request)).jkt;
  }

  const rotated = async () => {
    const version = await keys.world.keyring.rotate(keys.tenant);
    const steps = await keys.rewrapped(version, { data_keys: true });
    expect(failuresOf(steps)).toEqual([]);
    return steps;
  };

  test('seals what signs deliveries to a webhook under a fresh key, and notifier has it as before', async () => {
    const { tenantId } = keys.customer;
    const webhookId = newId('webhook');
    const asked = { tenant_id: tenantId, webhook_id: webhookId };
    const secret = 'thirty-two bytes of signing key.';
    await keys.world.admin(tenantId, webhookEvolver, webhookId, (state) =>
      createWebhook({ name: 'W', url: 'https://platform.example/', types: [] }, state),
    );
    const sealed = { ...asked, sealed_secret: keys.world.sealTo('vault', secret) };
    const { secret_version: secretVersion } = await keys.world.call(
      'administrator',
      operations.storeEndpointSecret,
      sealed,
    );
    await keys.world.admin(tenantId, webhookEvolver, webhookId, (state) =>
      storeWebhookSecret({ secretVersion, overlapMs: 0, nowMs: Date.now() }, state),
    );
    expect(await rotated()).toMatchObject([{ total: 1, done: 1, next: null }]);
    const { secrets } = await keys.world.call('notifier', operations.releaseEndpointSecrets, asked);
    expect(secrets.map(({ sealed_secret: one }) => keys.world.openAs('notifier', one))).toEqual([secret]);
    const refused = keys.world.call('revocation', operations.releaseEndpointSecrets, asked);
    expect(await codeOf(refused)).toBe('auth.forbidden');
  });

  test('seals credentials, pending ones, client secrets and DPoP keys under a fresh key', async () => {
    const ref = await connected(keys.world, keys.customer);
    const session = await exchangingSession(keys.world, keys.customer, ref.connectionId);
    await storePending(keys.world, session, tokenSetOf('pending'));
    await keys.storeSecret('secret');
    const proofKey = await jktOf(ref);
    const ciphertexts = 'select access_ciphertext, refresh_ciphertext from vault.credential where connection_id = ?';
    const before = [await keys.dataKeyOf(ref.connectionId), await keys.asAttacker(ciphertexts, [ref.connectionId])];
    expect(await rotated()).toMatchObject([{ total: 2, done: 2, next: null }]);
    const after = [await keys.dataKeyOf(ref.connectionId), await keys.asAttacker(ciphertexts, [ref.connectionId])];
    expect(after).not.toEqual(before);
    expect(after[0]).toMatchObject({ generation: 2, made_version: 2 });
    for (const by of [keys.vault, keys.other]) expect(await keys.tokenOf(ref, { by })).toBe('access-first');
    const promoted = await promote(keys.world, session);
    await complete(keys.world, session, promoted);
    expect(await keys.tokenOf(ref, { version: promoted.credential_version })).toBe('access-pending');
    const { sealed_refresh_token } = await released(keys.world, ref, await claimed(keys.world, ref));
    expect(JSON.parse(keys.world.openAs('refresh', sealed_refresh_token))).toMatchObject({
      refreshToken: 'refresh-pending',
    });
    expect(await keys.releaseSecret()).toBe('secret');
    expect(await jktOf(ref)).toBe(proofKey);
  });

  test('leaves nothing that an older copy of the data key opens', async () => {
    const ref = await connected(keys.world, keys.customer);
    const before = await keys.dataKeyOf(ref.connectionId);
    await rotated();
    await keys.asAttacker('update vault.data_key set wrapped_key = ? where owner_id = ?', [
      before?.wrapped_key,
      ref.connectionId,
    ]);
    const third = await keys.world.startVault();
    expect(await codeOf(keys.tokenOf(ref, { by: third }))).toBe('vault.ciphertext_invalid');
    await third.stop();
  });

  test('is done once a version: a repeat finds nothing to do', async () => {
    const ref = await connected(keys.world, keys.customer);
    await rotated();
    expect(await keys.rewrapped(2, { data_keys: true })).toMatchObject([{ total: 1, done: 1 }]);
    expect(await keys.dataKeyOf(ref.connectionId)).toMatchObject({ generation: 2 });
  });

  const memories: [string, (by: RunningService, ref: ConnectionRef) => void][] = [
    ['both', () => undefined],
    ['the data key alone', (by, { tenantId, connectionId }) => by.get(Credentials).forget({ tenantId, connectionId })],
    [
      'the ciphertext alone',
      (by, { tenantId, connectionId }) => by.get(DataKeys).forget({ tenantId, ownerId: connectionId }),
    ],
    ['neither', forget],
  ];
  test.each(memories)('is opened by a vault that has %s in its memory from before', async (_name, let_go) => {
    const ref = await connected(keys.world, keys.customer);
    for (const by of [keys.vault, keys.other]) expect(await keys.tokenOf(ref, { by })).toBe('access-first');
    await rotated();
    for (const by of [keys.vault, keys.other]) {
      let_go(by, ref);
      expect(await keys.tokenOf(ref, { by })).toBe('access-first');
    }
  });

  test('loses nothing that is stored by a vault that has the old key in its memory', async () => {
    const ref = await connected(keys.world, keys.customer);
    for (const by of [keys.vault, keys.other]) await keys.tokenOf(ref, { by });
    await rotated();
    for (const by of [keys.vault, keys.other]) {
      const { credentialVersion } = await storedThrough(by, ref);
      forget(keys.vault, ref);
      forget(keys.other, ref);
      for (const reader of [keys.vault, keys.other]) {
        expect(await keys.tokenOf(ref, { by: reader, version: credentialVersion })).toBe(`access-${credentialVersion}`);
      }
    }
  });

  async function storedThrough(by: RunningService, ref: ConnectionRef) {
    const credentials = by.get(Credentials);
    const newestVersion = (await credentials.versions(ref)).at(-1)?.version ?? 0;
    const credentialVersion = newestVersion + 1;
    const inserted = await credentials.insertNext({
      owner: await keys.ownerOf(ref),
      newestVersion,
      currentVersion: 1,
      boughtBy: newId('claim'),
      tokenSet: tokenSetOf(String(credentialVersion)),
      refreshTokenRotated: true,
    });
    expect(inserted?.version).toBe(credentialVersion);
    return { credentialVersion };
  }

  test('leaves an owner as it is when one of its ciphertexts was swapped, and says so', async () => {
    const [mine, theirs] = (await keys.connections(2)) as [ConnectionRef, ConnectionRef];
    await refreshed(keys.world, mine, tokenSetOf('second'));
    const swap =
      'update vault.credential set refresh_ciphertext = access_ciphertext where connection_id = ? and version = 2';
    await keys.asAttacker(swap, [mine.connectionId]);
    const version = await keys.world.keyring.rotate(keys.tenant);
    const steps = await keys.rewrapped(version, { data_keys: true });
    expect(failuresOf(steps)).toEqual([{ owner_id: mine.connectionId, code: 'vault.ciphertext_invalid' }]);
    expect(await keys.dataKeyOf(mine.connectionId)).toMatchObject({ generation: 1 });
    expect(await keys.tokenOf(mine, { version: 2 })).toBe('access-second');
    expect(await keys.tokenOf(theirs)).toBe('access-1');
  });
});

describe('the end of a version', () => {
  test('is taken down only when the key service agrees', async () => {
    await keys.connections(1);
    await keys.world.keyring.rotate(keys.tenant);
    await keys.rewrapped(2);
    expect(await codeOf(keys.retired(2))).toBe('vault.key_version_in_use');
    expect((await keys.status()).gone_before).toBeNull();
    await keys.world.keyring.retireBefore({ ...keys.tenant, version: 2 });
    const first = await keys.retired(2);
    expect(await keys.retired(2)).toEqual(first);
    expect(await keys.status()).toMatchObject({ gone_before: 2, refused_before: 2 });
  });

  test('and the whole of it is for administrators: the bus carries the questions of nobody else', async () => {
    const request = { tenant_id: keys.customer.tenantId };
    await expect(keys.world.call('refresh', operations.keysStatus, request)).rejects.toThrow(PosternError);
    await expect(keys.world.call('revocation', operations.keysRewrap, { ...request, version: 1 })).rejects.toThrow(
      PosternError,
    );
    await expect(keys.world.call('gateway', operations.keysRetired, { ...request, before_version: 1 })).rejects.toThrow(
      PosternError,
    );
  });
});

describe('a status', () => {
  test("counts data keys by the version that wraps them and the one they were made under, of one tenant's alone", async () => {
    await keys.connections(2);
    await connected(keys.world, await keys.world.customer());
    await keys.world.keyring.rotate(keys.tenant);
    await keys.step(2, { limit: 1 });
    expect(await keys.status()).toMatchObject({
      key_service: { kind: 'local', ready: true, oldest: 1, latest: 2 },
      data_keys: {
        total: 2,
        wrapped_by: [
          { version: 1, count: 1 },
          { version: 2, count: 1 },
        ],
        made_under: [{ version: 1, count: 2 }],
      },
      refused_before: 2,
      gone_before: null,
    });
  });

  test('of a tenant without a key says so', async () => {
    expect(await keys.status(newId('tenant'))).toMatchObject({
      key_service: { ready: false, oldest: null, latest: null },
      data_keys: { total: 0 },
    });
  });
});
