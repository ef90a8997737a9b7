import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { decode, encodeAccount, fromSeed, type Account } from '@nats-io/jwt';
import { newId, operations } from '@postern/contracts';
import { startNatsServer, type NatsServer } from '@postern/servers';

import { connectBus, type Bus } from './bus.ts';
import { callOperation } from './call-operation.ts';
import { endpoint } from './operation-endpoint.ts';
import {
  createOperator,
  revokePlatformUsers,
  serverOperatorConfig,
  withCurrentCrossings,
  type AccountKeys,
  type OperatorBundle,
} from './operator.ts';
import { provision } from './provision.ts';
import { publishMessage } from './publish-message.ts';
import { serveOperations } from './serve-operations.ts';
import { updateAccount } from './update-account.ts';
import { bridgeCreds, identityCreds, platformCreds, systemCreds } from './user-credentials.ts';

const dayMs = 86_400_000;
const tenantId = newId('tenant');
const folder = mkdtempSync(join(tmpdir(), 'postern-accounts-'));
const servers: NatsServer[] = [];
const buses: Bus[] = [];

async function start(bundle: OperatorBundle, name: string): Promise<NatsServer> {
  const config = { operatorMode: serverOperatorConfig(bundle) };
  const server = await startNatsServer({ dataDir: join(folder, name), config });
  servers.push(server);
  return server;
}

async function connect(server: NatsServer, identity: string, creds: string): Promise<Bus> {
  const bus = await connectBus({ servers: server.url, creds, identity, name: 'spec' });
  buses.push(bus);
  return bus;
}

async function revoke(server: NatsServer, bundle: OperatorBundle, users: readonly string[]): Promise<OperatorBundle> {
  const revoked = await revokePlatformUsers(bundle, users, { nowMs: Date.now(), userTtlMsMax: 365 * dayMs });
  const system = await connect(server, 'system', await systemCreds(revoked));
  await updateAccount(system, revoked.accounts.platforms);
  return revoked;
}

const platform = async (bundle: OperatorBundle) => {
  const platformId = newId('platform');
  return { platformId, ...(await platformCreds(bundle, { tenantId, platformId })) };
};

const lease = () => ({
  connection_id: newId('connection'),
  agent_id: newId('agent'),
  purpose: 'spec',
  recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
});

afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a user that is ended loses its connection at once and gets no other; its neighbour notices nothing', async () => {
  const bundle = await createOperator();
  const server = await start(bundle, 'live');
  const [ended, other] = [await platform(bundle), await platform(bundle)];
  const vault = await connect(server, 'vault', await identityCreds(bundle, 'vault'));
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const served = await serveOperations(vault, {
    name: 'vault',
    version: '0.1.0',
    endpoints: [
      endpoint(operations.leaseToken, async (_request, { caller }) => {
        reached.resolve();
        await gate;
        return caller as never;
      }),
    ],
  });
  const [endedBus, otherBus] = [
    await connect(server, ended.platformId, ended.creds),
    await connect(server, other.platformId, other.creds),
  ];
  const states: string[] = [];
  otherBus.onStatus(({ type }) => states.push(type));
  const { platformId } = other;
  const inFlight = callOperation(otherBus, operations.leaseToken, { tenantId, platformId }, lease());
  await reached.promise;

  const revoked = await revoke(server, bundle, [ended.userPublicKey]);
  expect(String(await endedBus.closed)).toMatch(/revo|authoriz/i);
  open();
  expect(await inFlight).toEqual({ tenantId, platformId });
  expect(await callOperation(otherBus, operations.leaseToken, { tenantId, platformId }, lease())).toBeDefined();
  expect(states).toEqual([]);

  const refused = { code: 'auth.forbidden' };
  await expect(connect(server, ended.platformId, ended.creds)).rejects.toMatchObject(refused);
  // The server itself remembers, though the bundle that it starts with is older.
  await served.stop();
  await server.kill();
  const { dataDir, port, monitorPort } = server;
  const config = { operatorMode: serverOperatorConfig(bundle) };
  const again = await startNatsServer({ dataDir, port, monitorPort, config });
  servers.push(again);
  await expect(connect(again, ended.platformId, ended.creds)).rejects.toMatchObject(refused);
  // And a server that never heard of it learns it from the bundle.
  const fresh = await start(revoked, 'fresh');
  await expect(connect(fresh, ended.platformId, ended.creds)).rejects.toMatchObject(refused);
  await connect(fresh, other.platformId, other.creds);
});

test('users are ended one after the other, and one whose life is over anyway is forgotten', async () => {
  const bundle = await createOperator();
  const [one, two] = [await platform(bundle), await platform(bundle)];
  const now = Date.now();
  const options = { userTtlMsMax: dayMs };
  const first = await revokePlatformUsers(bundle, [one.userPublicKey], { ...options, nowMs: now });
  const second = await revokePlatformUsers(first, [two.userPublicKey], { ...options, nowMs: now + 1_000 });
  expect(Object.keys(revocations(second))).toEqual([one.userPublicKey, two.userPublicKey]);
  const later = await revokePlatformUsers(second, [], { ...options, nowMs: now + dayMs + 3_000 });
  expect(revocations(later)).toEqual({});
});

/** What an older release made, which let no signals cross. */
async function withoutSignals(bundle: OperatorBundle): Promise<OperatorBundle> {
  const { core, platforms } = bundle.accounts;
  const signer = keyOf(bundle.operatorSeed);
  const without = async (account: AccountKeys) => {
    const { name, nats: claims } = decode<Account>(account.jwt);
    const kept = <T extends { subject?: string }>(all: readonly T[] = []) =>
      all.filter(({ subject }) => subject?.startsWith('signal.') !== true);
    const older = { ...claims, exports: kept(claims.exports), imports: kept(claims.imports) };
    return { ...account, jwt: await encodeAccount(name, keyOf(account.seed), older, { signer }) };
  };
  const accounts = { ...bundle.accounts, core: await without(core), platforms: await without(platforms) };
  return { ...bundle, accounts };
}

const keyOf = (seed: string) => fromSeed(new TextEncoder().encode(seed));

test('what an older release let cross becomes what this one does, also for a server that kept the old accounts', async () => {
  const bundle = await createOperator();
  expect(await withCurrentCrossings(bundle)).toBe(bundle);
  const one = await platform(bundle);
  const old = await revokePlatformUsers(await withoutSignals(bundle), [one.userPublicKey], {
    nowMs: Date.now(),
    userTtlMsMax: dayMs,
  });
  const madeS = Math.floor(Date.now() / 1000);
  const about = { bridgeId: newId('bridge'), registrationIds: [newId('registration')] };
  const subject = `signal.${about.bridgeId}.${about.registrationIds[0]}.Ev1`;
  const { creds } = await bridgeCreds(bundle, about);
  /** Whether somebody in CORE hears what the bridge says. */
  const heard = async (server: NatsServer, of: OperatorBundle): Promise<boolean> => {
    await provision(await connect(server, 'provisioner', await identityCreds(of, 'provisioner')));
    const bridge = await connect(server, about.bridgeId, creds);
    const stored = publishMessage(bridge, { stream: 'SIGNALS', subject, payload: {}, messageId: subject });
    return await stored.then(
      () => true,
      () => false,
    );
  };
  const server = await start(old, 'older');
  expect(await heard(server, old)).toBe(false);
  await server.stop();
  // Of two accounts of one second a server keeps the one that it has.
  while (Math.floor(Date.now() / 1000) === madeS) await new Promise((resolve) => setTimeout(resolve, 50));
  const current = await withCurrentCrossings(old);
  const { dataDir, port, monitorPort } = server;
  const config = { operatorMode: serverOperatorConfig(current) };
  const again = await startNatsServer({ dataDir, port, monitorPort, config });
  servers.push(again);
  expect(await heard(again, current)).toBe(true);
  expect(Object.keys(revocations(current))).toEqual([one.userPublicKey]);
});

test('what is no account is not taken, and says so', async () => {
  const bundle = await createOperator();
  const server = await start(bundle, 'foreign');
  const system = await connect(server, 'system', await systemCreds(bundle));
  const updating = updateAccount(system, { jwt: 'nonsense' });
  await expect(updating).rejects.toMatchObject({ code: 'bus.unavailable' });
});

function revocations({ accounts }: OperatorBundle): Record<string, number> {
  const [, payload = ''] = accounts.platforms.jwt.split('.');
  const { nats } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    nats: { revocations?: Record<string, number> };
  };
  return nats.revocations ?? {};
}
