import { rmSync } from 'node:fs';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import { MikroORM } from '@mikro-orm/postgresql';
import { newId, operations, PosternError } from '@postern/contracts';
import { generateSealingKey, openJwe } from '@postern/crypto';
import { callOperation, createOperator, serverOperatorConfig, type Bus } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import type { RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { Connections } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { DataKeys, KeyServiceHolder } from '../data-keys.ts';
import { SealedRows } from '../sealed-rows.ts';
import { accessRecords, claimed, connected, released, revoked, stored, type ConnectionRef } from '../spec-journeys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';
import { VaultDatabase } from '../vault-database.ts';
import { vaultLimits } from '../vault-limits.ts';

const folder = temporaryDataDir('postern-first-leases-');
const recipient = generateSealingKey();
let nats: NatsServer;
let postgres: Postgres;
let owner: MikroORM;
let world: VaultWorld;
let vault: RunningService;
let customer: Customer;
let platform: Bus;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('first_leases');
  const ownerUrl = postgres.urlOf('first_leases');
  world = await VaultWorld.open({
    natsUrl: nats.url,
    bundle,
    ownerUrl,
    serviceRole: 'vault_first_leases',
    folder: `${folder}/world`,
  });
  owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  vault = await world.startVault();
  customer = await world.customer();
  platform = await world.platformBus(customer);
}, 180_000);

afterAll(async () => {
  await owner?.close(true);
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** Drops all that the vault's memory holds of connections. */
function forget(refs: readonly ConnectionRef[]): void {
  vault.get(Connections).forgetAll();
  for (const ref of refs) {
    vault.get(DataKeys).forget({ tenantId: ref.tenantId, ownerId: ref.connectionId });
    vault.get(Credentials).forget(ref);
  }
}

async function leased({ connectionId }: ConnectionRef): Promise<string> {
  const { tenantId, platformId, agentId } = customer;
  const asked = { connection_id: connectionId, agent_id: agentId, purpose: 'spec', recipient_key: recipient.publicJwk };
  const lease = await callOperation(platform, operations.leaseToken, { tenantId, platformId }, asked, {
    timeoutMs: 20_000,
  });
  return openJwe(recipient.privateJwk, lease.sealed_token).plaintext.toString('utf8');
}

async function connections(count: number): Promise<ConnectionRef[]> {
  const refs: ConnectionRef[] = [];
  for (let at = 0; at < count; at += 1) refs.push(await connected(world, customer, tokenSetOf(`of-${at}`)));
  return refs;
}

async function outcomesOf({ connectionId }: ConnectionRef): Promise<string[]> {
  const records = await accessRecords(world);
  return records.filter((record) => record.connectionId === connectionId).map(({ outcome }) => outcome);
}

/** What the vault asks of the tables and of its key service while the work runs; the key service waits for `ready`. */
async function watched(ready: (ownersRead: number) => boolean, work: () => Promise<void>) {
  const [database, { keyService }] = [vault.get(VaultDatabase), vault.get(KeyServiceHolder)];
  const read = database.lookUp.bind(database);
  const unwrapMany = keyService.unwrapMany.bind(keyService);
  const gate = Promise.withResolvers<void>();
  const seen = { reads: 0, owners: 0, unwraps: [] as number[] };
  database.lookUp = async (tenantId, lookup, ...values) => {
    const rows = await read(tenantId, lookup, ...values);
    seen.reads += 1;
    seen.owners += (values[0] as readonly string[]).length;
    // A turn later whoever was waiting for the last of them has asked the key service.
    if (ready(seen.owners)) setImmediate(() => setImmediate(() => gate.resolve()));
    return rows;
  };
  keyService.unwrapMany = async (keys) => {
    seen.unwraps.push(keys.wrapped.length);
    await gate.promise;
    return await unwrapMany(keys);
  };
  try {
    await work();
  } finally {
    gate.resolve();
    database.lookUp = read;
    keyService.unwrapMany = unwrapMany;
  }
  return seen;
}

describe('first leases', () => {
  test('at the same time have their data keys opened together, and each gets its own token', async () => {
    const refs = await connections(12);
    forget(refs);
    const seen = await watched(
      (owners) => owners === refs.length,
      async () => {
        const tokens = await Promise.all(refs.map(leased));
        expect(tokens).toEqual(refs.map((_ref, at) => `access-of-${at}`));
      },
    );
    // One row for the ciphertext and its key together; what came while enough batches were under way went in one.
    expect(seen.owners).toBe(refs.length);
    expect(seen.unwraps.length).toBeLessThanOrEqual(vaultLimits.unwrapBatches.inFlightMax + 1);
    expect(seen.unwraps.reduce((sum, count) => sum + count, 0)).toBe(refs.length);
    await turn();
    const again = await watched(
      () => true,
      async () => void (await Promise.all(refs.map(leased))),
    );
    expect(again).toEqual({ reads: 0, owners: 0, unwraps: [] });
  });

  test('have their data keys opened while the log is silent, and get nothing before it has spoken', async () => {
    const [allowed, ended] = await connections(2);
    if (allowed === undefined || ended === undefined) throw new Error('no connections were made');
    await revoked(world, ended);
    for (const ref of [allowed, ended]) {
      forget([ref]);
      const [repository, { keyService }] = [vault.get(Connections), vault.get(KeyServiceHolder)];
      const [load, unwrapMany] = [repository.load.bind(repository), keyService.unwrapMany.bind(keyService)];
      const [unwrapped, spoken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      repository.load = async (...of) => {
        await spoken.promise;
        return await load(...of);
      };
      keyService.unwrapMany = async (keys) => await unwrapMany(keys).finally(() => unwrapped.resolve());
      try {
        const lease = leased(ref);
        const answer = lease.catch(() => undefined).then(() => 'answered');
        await unwrapped.promise;
        expect(await Promise.race([answer, turn('silent')])).toBe('silent');
        spoken.resolve();
        if (ref === allowed) expect(await lease).toBe('access-of-0');
        else expect(await codeOf(lease)).toBe('connection.revoked');
      } finally {
        spoken.resolve();
        Object.assign(repository, { load });
        Object.assign(keyService, { unwrapMany });
      }
    }
  });

  test('have their record stored while their data key is opened, and leave with both', async () => {
    const [warm, first] = await connections(2);
    if (warm === undefined || first === undefined) throw new Error('no connections were made');
    forget([warm, first]);
    // The key service has answered.
    await leased(warm);
    const { keyService } = vault.get(KeyServiceHolder);
    const unwrapMany = keyService.unwrapMany.bind(keyService);
    const answers = Promise.withResolvers<void>();
    keyService.unwrapMany = async (keys) => await answers.promise.then(() => unwrapMany(keys));
    try {
      const lease = leased(first);
      const answer = lease.catch(() => undefined).then(() => 'answered');
      await waitFor(async () => (await outcomesOf(first)).length === 1, { describe: 'its record' });
      expect(await outcomesOf(first)).toEqual(['granted']);
      expect(await Promise.race([answer, turn('silent')])).toBe('silent');
      answers.resolve();
      expect(await lease).toBe('access-of-1');
    } finally {
      answers.resolve();
      Object.assign(keyService, { unwrapMany });
    }
  });

  test('are recorded as refused alone where the key service did not answer the one before', async () => {
    const refs = await connections(3);
    const { keyService } = vault.get(KeyServiceHolder);
    const unwrapMany = keyService.unwrapMany.bind(keyService);
    keyService.unwrapMany = async () => {
      await delay(50);
      throw new PosternError('vault.key_service_unavailable', 'The key service is away.');
    };
    try {
      for (const ref of refs) {
        forget([ref]);
        expect(await codeOf(leased(ref))).toBe('vault.key_service_unavailable');
      }
    } finally {
      Object.assign(keyService, { unwrapMany });
    }
    await waitFor(async () => (await Promise.all(refs.map(outcomesOf))).flat().length === 4, { describe: 'records' });
    // Who was given nothing has a refusal; the first was recorded while the key service still seemed well.
    expect(await Promise.all(refs.map(outcomesOf))).toEqual([['granted', 'refused'], ['refused'], ['refused']]);
    for (const [at, ref] of refs.entries()) expect(await leased(ref)).toBe(`access-of-${at}`);
  });

  test('of connections whose data key does not open hide nothing from the others', async () => {
    const refs = await connections(4);
    const [broken] = refs;
    await owner.em.getConnection().execute(
      `update vault.data_key set wrapped_key = (select wrapped_key from vault.data_key where owner_id = ?) || 'AA'
         where owner_id = ?`,
      [refs[1]?.connectionId, broken?.connectionId],
    );
    forget(refs);
    const answers = await Promise.all(refs.map((ref) => codeOf(leased(ref))));
    expect(answers).toEqual(['vault.ciphertext_invalid', ...refs.slice(1).map(() => 'nothing was refused')]);
  });

  test('give the version that the log names, also when a newer one is stored already', async () => {
    const [ref] = await connections(1);
    if (ref === undefined) throw new Error('no connection was made');
    const claimId = await claimed(world, ref);
    await released(world, ref, claimId);
    expect((await stored(world, ref, { claimId, set: tokenSetOf('newer') })).credential_version).toBe(2);
    forget([ref]);
    expect(await leased(ref)).toBe('access-of-0');
  });

  test('of a token that is bound to a certificate are refused, though the log calls it free', async () => {
    const ref = await connected(world, customer, { ...tokenSetOf('bound'), boundTo: 'mtls' });
    forget([ref]);
    expect(await codeOf(leased(ref))).toBe('lease.sender_constrained');
    // From memory as from the table.
    expect(await codeOf(leased(ref))).toBe('lease.sender_constrained');
  });

  test('of what does not exist open nothing', async () => {
    const unknown = { tenantId: customer.tenantId, connectionId: newId('connection') };
    const seen = await watched(
      () => true,
      async () => expect(await codeOf(leased(unknown))).toBe('connection.not_found'),
    );
    expect(seen.unwraps).toEqual([]);
  });
});

describe('the rows of a connection', () => {
  test('are read behind the wall of its tenant, together with those of others of the same tenant alone', async () => {
    const [mine] = await connections(1);
    const stranger = await world.customer();
    const theirs = await connected(world, stranger);
    const rows = vault.get(SealedRows);
    const ownerOf = ({ connectionId }: ConnectionRef, { tenantId }: Customer) => ({ tenantId, ownerId: connectionId });
    const [own, foreign, unknown, old] = await Promise.all([
      rows.find(ownerOf(mine as ConnectionRef, customer)),
      rows.find(ownerOf(theirs, customer)),
      rows.find({ tenantId: customer.tenantId, ownerId: newId('connection') }),
      rows.find(ownerOf(mine as ConnectionRef, customer), 7),
    ]);
    expect(own).toMatchObject({ key: { generation: 1 }, access: { version: 1, keyGeneration: 1 } });
    expect(foreign).toEqual({ key: undefined, access: undefined });
    expect(unknown).toEqual(foreign);
    expect(old).toEqual({ key: own.key, access: undefined });
    expect((await rows.find(ownerOf(theirs, stranger))).access?.version).toBe(1);
  });
});
