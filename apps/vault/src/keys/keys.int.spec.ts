import { copyFileSync, rmSync } from 'node:fs';

import { MikroORM } from '@mikro-orm/postgresql';
import {
  AccessGroup,
  newId,
  operations,
  PosternError,
  type AccessRecord,
  type KeysRewrapped,
} from '@postern/contracts';
import * as domain from '@postern/domain';
import { createOperator, JetStreamEventLog, serverOperatorConfig } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { Metrics, type RunningService } from '@postern/service';

import { ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { DataKeys } from '../data-keys.ts';
import { PendingCredentials } from '../pending-credentials.ts';
import {
  claimed,
  complete,
  connected,
  deleted,
  exchangingSession,
  promote,
  refreshed,
  released,
  stored,
  storePending,
  type ConnectionRef,
} from '../spec-journeys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';

const folder = temporaryDataDir('postern-keys-');
let nats: NatsServer;
let postgres: Postgres;
let owner: MikroORM;
let world: VaultWorld;
/** Two vaults on the same tables: what one rotates, the other has in its memory. */
let vault: RunningService;
let other: RunningService;
let customer: Customer;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('keys');
  const ownerUrl = postgres.urlOf('keys');
  const places = { natsUrl: nats.url, bundle, ownerUrl, serviceRole: 'vault_keys', folder: `${folder}/world` };
  world = await VaultWorld.open(places);
  owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  [vault, other] = [await world.startVault(), await world.startVault()];
}, 120_000);

beforeEach(async () => {
  customer = await world.customer();
});

afterAll(async () => {
  await owner?.close(true);
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** The superuser sees every row: what an attacker with the database has. */
async function asAttacker<T = Record<string, unknown>>(sql: string, params: readonly unknown[] = []): Promise<T[]> {
  return await owner.em.getConnection().execute(sql, [...params]);
}

const tenant = () => ({ tenantId: customer.tenantId });
const status = (tenantId = customer.tenantId) =>
  world.call('administrator', operations.keysStatus, { tenant_id: tenantId });
const retired = (version: number) =>
  world.call('administrator', operations.keysRetired, { tenant_id: customer.tenantId, before_version: version });

async function step(version: number, more: { after?: string; limit?: number; data_keys?: boolean } = {}) {
  return await world.call('administrator', operations.keysRewrap, { tenant_id: customer.tenantId, version, ...more });
}

/** Every step of a run, as the command takes them. */
async function rewrapped(version: number, more: { limit?: number; data_keys?: boolean } = {}) {
  const steps: KeysRewrapped[] = [];
  let after: string | null = '';
  while (after !== null) {
    const taken: KeysRewrapped = await step(version, { ...more, ...(after !== '' && { after }) });
    steps.push(taken);
    after = taken.next;
  }
  return steps;
}

const failuresOf = (steps: readonly KeysRewrapped[]) => steps.flatMap(({ failed }) => failed);

async function ownerOfRef({ tenantId, connectionId }: ConnectionRef) {
  const { state } = await world.connections('refresh').load({ tenantId, id: connectionId }, { fromLeader: true });
  return ownerOf(state);
}

async function tokenOf(ref: ConnectionRef, { by = vault, version = 1 } = {}): Promise<string> {
  return (await by.get(Credentials).openAccess(await ownerOfRef(ref), version)).accessToken;
}

/** Lets a vault's memory go, as time does. */
function forget(by: RunningService, { tenantId, connectionId }: ConnectionRef): void {
  by.get(DataKeys).forget({ tenantId, ownerId: connectionId });
  by.get(Credentials).forget({ tenantId, connectionId });
}

async function connectionsOf(count: number): Promise<ConnectionRef[]> {
  const refs: ConnectionRef[] = [];
  for (let n = 0; n < count; n += 1) refs.push(await connected(world, customer, tokenSetOf(String(n))));
  return refs;
}

const wrappedKeyOf = async (ownerId: string) => {
  const sql = 'select wrapped_key, generation, made_version from vault.data_key where owner_id = ?';
  const [row] = await asAttacker<{ wrapped_key: string | null; generation: number; made_version: number }>(sql, [
    ownerId,
  ]);
  return row;
};

/** What audit reads of one owner. */
async function recordsOf(ownerId: string): Promise<AccessRecord[]> {
  const log = new JetStreamEventLog({ bus: world.buses.audit, stream: 'access' });
  const found: AccessRecord[] = [];
  for await (const { payload } of log.read({ filter: 'access.>' })) {
    found.push(...AccessGroup.parse(JSON.parse(Buffer.from(payload).toString('utf8'))).records);
  }
  return found.filter(({ connectionId }) => connectionId === ownerId);
}

async function storeSecret(secret: string) {
  return await world.call('administrator', operations.storeClientSecret, {
    tenant_id: customer.tenantId,
    registration_id: customer.registrationId,
    sealed_secret: world.sealTo('vault', secret),
  });
}

async function releaseSecret(): Promise<string> {
  const request = { tenant_id: customer.tenantId, registration_id: customer.registrationId };
  const { sealed_secret } = await world.call('refresh', operations.releaseClientSecret, request);
  return world.openAs('refresh', sealed_secret);
}

describe('a rewrap', () => {
  test('goes in steps that tell how far it is, and afterwards the old version can go', async () => {
    const refs = await connectionsOf(4);
    await storeSecret('secret');
    expect(await world.keyring.rotate(tenant())).toBe(2);
    const steps = await rewrapped(2, { limit: 2 });
    expect(steps.map(({ total, done }) => ({ total, done }))).toEqual([
      { total: 5, done: 2 },
      { total: 5, done: 4 },
      { total: 5, done: 5 },
    ]);
    expect(failuresOf(steps)).toEqual([]);
    await world.keyring.retireBefore({ ...tenant(), version: 2 });
    await retired(2);
    for (const [n, ref] of refs.entries()) {
      for (const by of [vault, other]) {
        forget(by, ref);
        expect(await tokenOf(ref, { by })).toBe(`access-${n}`);
      }
    }
    expect(await releaseSecret()).toBe('secret');
  });

  test('that was killed in the middle is resumed by the next one: what is done stands in the rows', async () => {
    await connectionsOf(3);
    await world.keyring.rotate(tenant());
    expect(await step(2, { limit: 2 })).toMatchObject({ total: 3, done: 2 });
    const before = await asAttacker(
      'select wrapped_key from vault.data_key where tenant_id = ? and wrapped_version = 2',
      [customer.tenantId],
    );
    const resumed = await rewrapped(2);
    expect(resumed).toMatchObject([{ total: 3, done: 3, next: null }]);
    const after = await asAttacker<{ wrapped_key: string }>(
      'select wrapped_key from vault.data_key where tenant_id = ?',
      [customer.tenantId],
    );
    expect(after).toEqual(expect.arrayContaining(before));
  });

  test('by two at once does no harm', async () => {
    const refs = await connectionsOf(4);
    await world.keyring.rotate(tenant());
    const runs = await Promise.all([1, 2, 3].map(() => rewrapped(2, { limit: 2 })));
    expect(failuresOf(runs.flat())).toEqual([]);
    expect((await status()).data_keys.wrapped_by).toEqual([{ version: 2, count: 4 }]);
    for (const ref of refs) forget(vault, ref);
    expect(await Promise.all(refs.map((ref) => tokenOf(ref)))).toHaveLength(4);
  });

  test('is refused for a version that the key service does not wrap by', async () => {
    await connectionsOf(1);
    expect(await codeOf(step(2))).toBe('vault.key_service_unavailable');
    expect((await status()).refused_before).toBeNull();
  });

  test('keeps a vault that has not seen the newest key from wrapping by an old one', async () => {
    const stale = `${folder}/stale-${customer.tenantId}.json`;
    copyFileSync(`${folder}/world/keyring.json`, stale);
    const lagging = await world.startVault({ POSTERN_KEYRING_KEY_FILE: stale });
    await world.keyring.rotate(tenant());
    // Any vault may be asked, and the lagging one refuses: it is asked until one of the others was.
    while ((await codeOf(step(2))) !== 'nothing was refused') expect((await status()).refused_before).toBeNull();
    const session = await exchangingSession(world, customer);
    const store = async () => {
      const { sessionId } = session;
      const until = { sessionId, expiresAtMs: Date.now() + 60_000 };
      await lagging.get(PendingCredentials).insert(await ownerOfRef(session), until, tokenSetOf('x'));
    };
    expect(await codeOf(store())).toBe('vault.key_service_unavailable');
    expect(await wrappedKeyOf(session.connectionId)).toBeUndefined();
    copyFileSync(`${folder}/world/keyring.json`, stale);
    await store();
    expect((await wrappedKeyOf(session.connectionId))?.wrapped_key).toMatch(/^local:v1:2:/);
    await lagging.stop();
  });

  test('tells a data key that does not open, records it, and does the others', async () => {
    const [mine, theirs] = (await connectionsOf(2)) as [ConnectionRef, ConnectionRef];
    const stranger = await connected(world, await world.customer());
    await asAttacker(
      `update vault.data_key set wrapped_key = (select wrapped_key from vault.data_key where owner_id = ?) where owner_id = ?`,
      [stranger.connectionId, mine.connectionId],
    );
    await world.keyring.rotate(tenant());
    const steps = await rewrapped(2);
    expect(failuresOf(steps)).toEqual([{ owner_id: mine.connectionId, code: 'vault.ciphertext_invalid' }]);
    expect(steps.at(-1)).toMatchObject({ total: 2, done: 1 });
    expect(await recordsOf(mine.connectionId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open data_key' },
    ]);
    forget(vault, theirs);
    expect(await tokenOf(theirs)).toBe('access-1');
  });
});

describe('a rotation of data keys', () => {
  const rotated = async () => {
    const version = await world.keyring.rotate(tenant());
    const steps = await rewrapped(version, { data_keys: true });
    expect(failuresOf(steps)).toEqual([]);
    return steps;
  };

  test('seals credentials, pending ones and client secrets under a fresh key', async () => {
    const ref = await connected(world, customer);
    const session = await exchangingSession(world, customer, ref.connectionId);
    await storePending(world, session, tokenSetOf('pending'));
    await storeSecret('secret');
    const ciphertexts = 'select access_ciphertext, refresh_ciphertext from vault.credential where connection_id = ?';
    const before = [await wrappedKeyOf(ref.connectionId), await asAttacker(ciphertexts, [ref.connectionId])];
    expect(await rotated()).toMatchObject([{ total: 2, done: 2, next: null }]);
    const after = [await wrappedKeyOf(ref.connectionId), await asAttacker(ciphertexts, [ref.connectionId])];
    expect(after).not.toEqual(before);
    expect(after[0]).toMatchObject({ generation: 2, made_version: 2 });
    for (const by of [vault, other]) expect(await tokenOf(ref, { by })).toBe('access-first');
    const promoted = await promote(world, session);
    await complete(world, session, promoted);
    expect(await tokenOf(ref, { version: promoted.credential_version })).toBe('access-pending');
    const { sealed_refresh_token } = await released(world, ref, await claimed(world, ref));
    expect(JSON.parse(world.openAs('refresh', sealed_refresh_token))).toMatchObject({
      refreshToken: 'refresh-pending',
    });
    expect(await releaseSecret()).toBe('secret');
  });

  test('leaves nothing that an older copy of the data key opens', async () => {
    const ref = await connected(world, customer);
    const before = await wrappedKeyOf(ref.connectionId);
    await rotated();
    await asAttacker('update vault.data_key set wrapped_key = ? where owner_id = ?', [
      before?.wrapped_key,
      ref.connectionId,
    ]);
    const third = await world.startVault();
    expect(await codeOf(tokenOf(ref, { by: third }))).toBe('vault.ciphertext_invalid');
    await third.stop();
  });

  test('is done once a version: a repeat finds nothing to do', async () => {
    const ref = await connected(world, customer);
    await rotated();
    expect(await rewrapped(2, { data_keys: true })).toMatchObject([{ total: 1, done: 1 }]);
    expect(await wrappedKeyOf(ref.connectionId)).toMatchObject({ generation: 2 });
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
    const ref = await connected(world, customer);
    for (const by of [vault, other]) expect(await tokenOf(ref, { by })).toBe('access-first');
    await rotated();
    for (const by of [vault, other]) {
      let_go(by, ref);
      expect(await tokenOf(ref, { by })).toBe('access-first');
    }
  });

  test('loses nothing that is stored by a vault that has the old key in its memory', async () => {
    const ref = await connected(world, customer);
    for (const by of [vault, other]) await tokenOf(ref, { by });
    await rotated();
    for (const by of [vault, other]) {
      const { credentialVersion } = await storedThrough(by, ref);
      forget(vault, ref);
      forget(other, ref);
      for (const reader of [vault, other]) {
        expect(await tokenOf(ref, { by: reader, version: credentialVersion })).toBe(`access-${credentialVersion}`);
      }
    }
  });

  async function storedThrough(by: RunningService, ref: ConnectionRef) {
    const credentials = by.get(Credentials);
    const newestVersion = await credentials.newestVersion(ref);
    const credentialVersion = newestVersion + 1;
    const inserted = await credentials.insertNext({
      owner: await ownerOfRef(ref),
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
    const [mine, theirs] = (await connectionsOf(2)) as [ConnectionRef, ConnectionRef];
    await refreshed(world, mine, tokenSetOf('second'));
    const swap =
      'update vault.credential set refresh_ciphertext = access_ciphertext where connection_id = ? and version = 2';
    await asAttacker(swap, [mine.connectionId]);
    const version = await world.keyring.rotate(tenant());
    const steps = await rewrapped(version, { data_keys: true });
    expect(failuresOf(steps)).toEqual([{ owner_id: mine.connectionId, code: 'vault.ciphertext_invalid' }]);
    expect(await wrappedKeyOf(mine.connectionId)).toMatchObject({ generation: 1 });
    expect(await tokenOf(mine, { version: 2 })).toBe('access-second');
    expect(await tokenOf(theirs)).toBe('access-1');
  });
});

describe('the end of a version', () => {
  test('is taken down only when the key service agrees', async () => {
    await connectionsOf(1);
    await world.keyring.rotate(tenant());
    await rewrapped(2);
    expect(await codeOf(retired(2))).toBe('vault.key_version_in_use');
    expect((await status()).gone_before).toBeNull();
    await world.keyring.retireBefore({ ...tenant(), version: 2 });
    const first = await retired(2);
    expect(await retired(2)).toEqual(first);
    expect(await status()).toMatchObject({ gone_before: 2, refused_before: 2 });
  });

  test('and the whole of it is for administrators: the bus carries the questions of nobody else', async () => {
    const request = { tenant_id: customer.tenantId };
    await expect(world.call('refresh', operations.keysStatus, request)).rejects.toThrow(PosternError);
    await expect(world.call('revocation', operations.keysRewrap, { ...request, version: 1 })).rejects.toThrow(
      PosternError,
    );
    await expect(world.call('gateway', operations.keysRetired, { ...request, before_version: 1 })).rejects.toThrow(
      PosternError,
    );
  });
});

describe('a status', () => {
  test("counts data keys by the version that wraps them and the one they were made under, of one tenant's alone", async () => {
    await connectionsOf(2);
    await connected(world, await world.customer());
    await world.keyring.rotate(tenant());
    await step(2, { limit: 1 });
    expect(await status()).toMatchObject({
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
    expect(await status(newId('tenant'))).toMatchObject({
      key_service: { ready: false, oldest: null, latest: null },
      data_keys: { total: 0 },
    });
  });
});

describe('a shredding', () => {
  const tables = ['data_key', 'credential', 'key_retirement'];

  async function shred(ref: ConnectionRef): Promise<void> {
    await deleted(world, ref);
    await world.call('revocation', operations.shredConnectionKey, {
      tenant_id: ref.tenantId,
      connection_id: ref.connectionId,
    });
  }

  /** A copy of the tenant's rows, as a backup of the tables holds it, and the way back to it. */
  async function backup(): Promise<() => Promise<void>> {
    const rows: [string, Record<string, unknown>[]][] = [];
    for (const table of tables) {
      rows.push([table, await asAttacker(`select * from vault.${table} where tenant_id = ?`, [customer.tenantId])]);
    }
    return async () => {
      for (const [table, kept] of rows) {
        await asAttacker(`delete from vault.${table} where tenant_id = ?`, [customer.tenantId]);
        for (const row of kept) {
          const entries = Object.entries(row).filter(([name]) => name !== 'wrapped_version');
          const marks = entries.map(() => '?').join(', ');
          const sql = `insert into vault.${table} (${entries.map(([name]) => name).join(', ')}) values (${marks})`;
          await asAttacker(
            sql,
            entries.map(([, value]) => value),
          );
        }
      }
    };
  }

  /** What whoever has a copy of the tables and the key service gets out of it. */
  async function openedFresh(ref: ConnectionRef): Promise<string> {
    const fresh = await world.startVault();
    try {
      return await codeOf(tokenOf(ref, { by: fresh }));
    } finally {
      await fresh.stop();
    }
  }

  test('is complete, whatever copy of the tables comes back, once the version is gone that wrapped the key', async () => {
    const ref = await connected(world, customer);
    const restore = await backup();
    await shred(ref);
    expect(await openedFresh(ref)).toBe('vault.credential_missing');
    expect((await status()).shreddings).toMatchObject({
      complete: 0,
      pending: 1,
      complete_since: null,
      pending_until_before: 2,
      page: [{ owner_id: ref.connectionId, key_version: 1, complete_since: null }],
    });

    const shredded = await backup();
    await restore();
    expect(await openedFresh(ref)).toBe('nothing was refused');
    await shredded();

    await world.keyring.rotate(tenant());
    await rewrapped(2);
    await world.keyring.retireBefore({ ...tenant(), version: 2 });
    const { gone_since } = await retired(2);
    expect((await status()).shreddings).toMatchObject({
      complete: 1,
      pending: 0,
      complete_since: gone_since,
      pending_until_before: null,
      page: [{ owner_id: ref.connectionId, key_version: 1, complete_since: gone_since }],
    });

    await restore();
    expect(await openedFresh(ref)).toBe('vault.ciphertext_invalid');
  });

  test('under a version that is not gone yet waits for it, however many have gone before', async () => {
    const [early, late] = (await connectionsOf(2)) as [ConnectionRef, ConnectionRef];
    await shred(early);
    await world.keyring.rotate(tenant());
    await rewrapped(2);
    await shred(late);
    await world.keyring.retireBefore({ ...tenant(), version: 2 });
    await retired(2);
    const { shreddings } = await status();
    expect(shreddings).toMatchObject({ complete: 1, pending: 1, pending_until_before: 3 });
    const since = new Map(shreddings.page.map((one) => [one.owner_id, one.complete_since !== null]));
    expect([since.get(early.connectionId), since.get(late.connectionId)]).toEqual([true, false]);
  });

  test('of a connection that never had a key is complete at once', async () => {
    const session = await exchangingSession(world, customer);
    await shred(session);
    expect((await status()).shreddings).toMatchObject({ complete: 1, pending: 0 });
  });

  test('that an older copy of the tables undid is done again when data keys are rotated: the log remembers', async () => {
    const ref = await connected(world, customer);
    const restore = await backup();
    await shred(ref);
    await restore();
    const version = await world.keyring.rotate(tenant());
    await rewrapped(version, { data_keys: true });
    expect(await wrappedKeyOf(ref.connectionId)).toMatchObject({ wrapped_key: null });
    expect(await asAttacker('select 1 from vault.credential where connection_id = ?', [ref.connectionId])).toEqual([]);
  });
});

describe('what does not open', () => {
  test('is refused with its code, counted, and recorded for the audit, whoever asked', async () => {
    const [mine, theirs] = (await connectionsOf(2)) as [ConnectionRef, ConnectionRef];
    await asAttacker(
      `update vault.credential set refresh_ciphertext =
        (select refresh_ciphertext from vault.credential where connection_id = ?) where connection_id = ?`,
      [theirs.connectionId, mine.connectionId],
    );
    const claimId = await claimed(world, mine);
    expect(await codeOf(released(world, mine, claimId))).toBe('vault.ciphertext_invalid');
    expect(await recordsOf(mine.connectionId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open refresh_token', agentId: 'vault' },
    ]);
    const counted = [vault, other].map((one) =>
      one.get(Metrics).counter('postern_vault_ciphertexts_unopened_total', '').value({ kind: 'refresh_token' }),
    );
    expect(counted.reduce((sum, value) => sum + value, 0)).toBe(1);
    expect(await codeOf(stored(world, mine, { claimId, set: tokenSetOf('x', { refreshToken: null }) }))).toBe(
      'vault.ciphertext_invalid',
    );
  });

  test('a client secret of another version or tenant does not open either, and is recorded', async () => {
    await storeSecret('one');
    await storeSecret('two');
    await asAttacker(
      `update vault.client_secret set ciphertext =
        (select ciphertext from vault.client_secret where registration_id = ? and version = 1)
        where registration_id = ? and version = 2`,
      [customer.registrationId, customer.registrationId],
    );
    await world.admin(customer.tenantId, domain.registrationEvolver, customer.registrationId, (s) =>
      domain.storeRegistrationSecret({ secretVersion: 2 }, s),
    );
    expect(await codeOf(releaseSecret())).toBe('vault.ciphertext_invalid');
    expect(await recordsOf(customer.registrationId)).toMatchObject([
      { outcome: 'refused', code: 'vault.ciphertext_invalid', purpose: 'open client_secret' },
    ]);
  });

  test('a ciphertext that names another data key than its owner has is no endless search', async () => {
    const ref = await connected(world, customer);
    for (const generation of [7, 0]) {
      await asAttacker('update vault.credential set key_generation = ? where connection_id = ?', [
        generation,
        ref.connectionId,
      ]);
      forget(vault, ref);
      expect(await codeOf(tokenOf(ref))).toBe('vault.ciphertext_invalid');
    }
  });
});
