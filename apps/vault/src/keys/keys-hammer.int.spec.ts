import { rmSync } from 'node:fs';

import { newId, operations, PosternError, type KeysRewrapped } from '@postern/contracts';
import { generateSealingKey, openJwe } from '@postern/crypto';
import { callOperation, createOperator, serverOperatorConfig, type Bus } from '@postern/nats';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import type { RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { Credentials } from '../credentials.ts';
import { DataKeys } from '../data-keys.ts';
import { connected, refreshed, type ConnectionRef } from '../spec-journeys.ts';
import { codeOf, specNats, tokenSetOf, VaultWorld, type Customer } from '../spec-world.ts';

const folder = temporaryDataDir('postern-hammer-');
const connectionsCount = 6;
const leasersCount = 8;
const rotationsCount = 4;
let nats: NatsServer;
let postgres: Postgres;
let world: VaultWorld;
let vaults: RunningService[];
let customer: Customer;
let platform: Bus;
let refs: ConnectionRef[];

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('hammer');
  const ownerUrl = postgres.urlOf('hammer');
  const places = { natsUrl: nats.url, bundle, ownerUrl, serviceRole: 'vault_hammer', folder: `${folder}/world` };
  world = await VaultWorld.open(places);
  vaults = [await world.startVault(), await world.startVault()];
  customer = await world.customer();
  platform = await world.platformBus(customer);
  refs = [];
  for (let n = 0; n < connectionsCount; n += 1) refs.push(await connected(world, customer, tokenSetOf(`${n}-0`)));
  // Both vaults answer on one subject: each must know the tenant before a refusal counts.
  for (let known = 0; known < 2 * leasersCount; known += 1) {
    await waitFor(async () => (await codeOf(lease(refs[0] as ConnectionRef))) === 'nothing was refused', {
      describe: 'a first lease',
    });
  }
}, 180_000);

afterAll(async () => {
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const recipient = generateSealingKey();

async function lease({ connectionId }: ConnectionRef): Promise<string> {
  const { tenantId, platformId, agentId } = customer;
  const request = {
    connection_id: connectionId,
    agent_id: agentId,
    purpose: 'hammer',
    recipient_key: recipient.publicJwk,
  };
  const { sealed_token } = await callOperation(platform, operations.leaseToken, { tenantId, platformId }, request, {
    timeoutMs: 60_000,
  });
  return openJwe(recipient.privateJwk, sealed_token).plaintext.toString('utf8');
}

/** Takes things out of the vaults' memories as time does, so that leases come cold, half cold and warm. */
function forgetSome(n: number): void {
  const { tenantId, connectionId } = refs[n % refs.length] as ConnectionRef;
  const vault = vaults[n % 2] as RunningService;
  if (n % 3 !== 0) vault.get(DataKeys).forget({ tenantId, ownerId: connectionId });
  if (n % 3 !== 1) vault.get(Credentials).forget({ tenantId, connectionId });
}

async function rewrap(version: number, dataKeys: boolean): Promise<KeysRewrapped> {
  let after: string | null = null;
  for (;;) {
    const step: KeysRewrapped = await world.call('administrator', operations.keysRewrap, {
      tenant_id: customer.tenantId,
      version,
      data_keys: dataKeys,
      limit: 2,
      ...(after !== null && { after }),
    });
    expect(step.failed).toEqual([]);
    if (step.next === null) return step;
    after = step.next;
  }
}

test('no lease fails and nothing stored is lost while keys are rotated, rewrapped, replaced and retired', async () => {
  let over = false;
  const refusals: string[] = [];
  const leased: number[] = refs.map(() => 0);
  const stored: number[] = refs.map(() => 0);

  const leaser = async (offset: number) => {
    for (let n = offset; !over; n += 1) {
      const at = n % refs.length;
      forgetSome(n);
      try {
        const token = await lease(refs[at] as ConnectionRef);
        if (token.startsWith(`access-${at}-`)) leased[at] = (leased[at] ?? 0) + 1;
        else refusals.push(`a token of another connection: ${token}`);
      } catch (error) {
        refusals.push(error instanceof PosternError ? error.code : String(error));
      }
    }
  };
  const storer = async () => {
    for (let n = 0; !over; n += 1) {
      const at = n % refs.length;
      const next = (stored[at] ?? 0) + 1;
      await refreshed(world, refs[at] as ConnectionRef, tokenSetOf(`${at}-${next}`));
      stored[at] = next;
    }
  };
  const maker = async () => {
    while (!over) await connected(world, customer, tokenSetOf(newId('correlation')));
  };
  const rotator = async () => {
    for (let n = 0; n < rotationsCount; n += 1) {
      const version = await world.keyring.rotate(customer);
      await rewrap(version, false);
      const { done, total } = await rewrap(version, true);
      expect(done).toBe(total);
      await world.keyring.retireBefore({ ...customer, version });
      const before = [...leased];
      const goesOn = () => leased.every((count, at) => count > (before[at] ?? 0));
      await waitFor(goesOn, { timeoutMs: 60_000, describe: () => `a lease of each connection: ${leased.join(' ')}` });
    }
  };
  const helpers = [...Array.from({ length: leasersCount }, (_, at) => leaser(at)), storer(), maker()];
  try {
    await rotator();
  } finally {
    over = true;
    await Promise.all(helpers);
  }
  expect(refusals).toEqual([]);
  for (const [at, ref] of refs.entries()) {
    for (const vault of vaults) {
      vault.get(DataKeys).forget({ tenantId: ref.tenantId, ownerId: ref.connectionId });
      vault.get(Credentials).forget(ref);
    }
    expect(await lease(ref)).toBe(`access-${at}-${stored[at]}`);
  }
  expect(Math.min(...stored)).toBeGreaterThan(0);
}, 300_000);
