import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { MikroORM } from '@mikro-orm/postgresql';
import {
  newId,
  operations,
  streams,
  subjects,
  timestampOf,
  type DeliveredType,
  type Notification,
  type WebhookDelivery,
} from '@postern/contracts';
import { emptyTreeHash, generateSigningKey, signCheckpoint, treeLeafHash, witnessVerifierKey } from '@postern/crypto';
import { createTenant, createWebhook, storeWebhookSecret, tenantEvolver, webhookEvolver } from '@postern/domain';
import { CheckpointKeeper, exportMessage } from '@postern/event-log';
import { createOperator, identityCreds, JetStreamEventLog, publishMessage, serverOperatorConfig } from '@postern/nats';
import { migrateDatabase, tenantSetting } from '@postern/persistence';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';
import { Clock, Metrics, startService, type RunningService } from '@postern/service';
import { startWitness, waitFor, type TestWitness } from '@postern/testing';
import { Webhook as StandardWebhook } from 'standardwebhooks';

import { codeOf, specNats, VaultWorld } from '../../vault/src/spec-world.ts';
import { DeliverMessages } from './deliver/deliver-messages.ts';
import { notifierGrants, notifierMigrations, notifierSchema, notifierService } from './index.ts';
import { notifierLimits } from './notifier-limits.ts';
import { answering, Receiver, type Received } from './spec-support/receiver.ts';

const folder = temporaryDataDir('postern-notifier-');
const dropped = join(folder, 'dropped');
const program = join(import.meta.dirname, '../../cli/bin/postern.mjs');
const servicePassword = 'the-password-of-the-service';
const logKey = generateSigningKey();
const log = { name: 'log.example/spec', keys: [logKey.publicJwk] };
const timeoutMs = 60_000;
const hourMs = 3_600_000;

/** The machine's, and as much later as a spec wants. */
class LaterClock extends Clock {
  laterMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.laterMs;
  }
}

let nats: NatsServer;
let postgres: Postgres;
let owner: MikroORM;
let world: VaultWorld;
let service: RunningService;
let env: Record<string, string>;
const clock = new LaterClock();
const receivers: Receiver[] = [];
let witnesses: TestWitness[];
const logged: string[] = [];
const secrets: Buffer[] = [];

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('spec');
  const ownerUrl = postgres.urlOf('spec');
  const places = { natsUrl: nats.url, bundle, ownerUrl, serviceRole: 'vault_spec', folder: `${folder}/world` };
  world = await VaultWorld.open(places);
  await world.startVault();
  const login = { serviceRole: 'notifier_spec', servicePassword };
  const place = { schema: notifierSchema, migrations: notifierMigrations, grants: notifierGrants };
  await migrateDatabase({ ownerUrl, ...place, ...login });
  owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  mkdirSync(join(folder, 'files'));
  const file = (name: string, content: string) => {
    writeFileSync(join(folder, 'files', name), content, { mode: 0o600 });
    return join(folder, 'files', name);
  };
  const url = Object.assign(new URL(ownerUrl), { username: login.serviceRole, password: servicePassword }).href;
  const logs = ['ADMIN', 'ACCESS'].map((stream) => ({ origin: `${log.name}/${stream}`, keys: log.keys }));
  witnesses = await Promise.all(['one', 'two'].map((name) => startWitness(`witness.example/${name}`, logs)));
  const { signing, sealing } = world.keys.notifier;
  env = {
    POSTERN_NATS_URL: nats.url,
    POSTERN_NATS_CREDS_FILE: file('creds', await identityCreds(bundle, 'notifier')),
    POSTERN_TRUST_FILE: file('trust.json', JSON.stringify({ ...world.trust, log })),
    POSTERN_SIGNING_KEY_FILE: file('signing.json', JSON.stringify(signing.privateJwk)),
    POSTERN_SEALING_KEY_FILE: file('sealing.json', JSON.stringify(sealing.privateJwk)),
    POSTERN_DATABASE_URL_FILE: file('database-url', url),
    POSTERN_ALLOWED_WEBHOOK_ADDRESSES: '127.0.0.1',
    POSTERN_WEBHOOK_TIMEOUT: '2s',
    POSTERN_CHECKPOINT_DIR: dropped,
    POSTERN_WITNESSES: witnesses.map((one) => `${witnessVerifierKey(one)} ${one.url}`).join(),
    POSTERN_LOG_LEVEL: 'trace',
  };
  await start();
}, 240_000);
afterAll(async () => {
  await service?.stop();
  for (const receiver of receivers) await receiver.stop();
  for (const witness of witnesses) await witness.close();
  await owner?.close(true);
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<void> {
  const logDestination = { write: (line: string) => void logged.push(line) };
  service = await startService(notifierService, env, { clock, checkReplies: true, logDestination });
}

async function receiver(): Promise<Receiver> {
  const one = await new Receiver().start();
  receivers.push(one);
  return one;
}

async function newTenant(): Promise<string> {
  const tenantId = newId('tenant');
  await world.keyring.ensureTenantKey({ tenantId });
  await world.admin(tenantId, tenantEvolver, tenantId, (state) => createTenant({ name: 'T' }, state));
  return tenantId;
}

interface Hook {
  readonly tenantId: string;
  readonly webhookId: string;
  readonly secret: Buffer;
}

async function newHook(tenantId: string, url: string, types: DeliveredType[] = []): Promise<Hook> {
  const webhookId = newId('webhook');
  await world.admin(tenantId, webhookEvolver, webhookId, (state) => createWebhook({ name: 'W', url, types }, state));
  return { tenantId, webhookId, secret: await newSecret({ tenantId, webhookId }) };
}

const asked = ({ tenantId, webhookId }: Pick<Hook, 'tenantId' | 'webhookId'>) => ({
  tenant_id: tenantId,
  webhook_id: webhookId,
});

async function newSecret(hook: Pick<Hook, 'tenantId' | 'webhookId'>, overlapMs = hourMs): Promise<Buffer> {
  const secret = randomBytes(32);
  secrets.push(secret);
  const sealed = world.sealTo('vault', secret);
  const { secret_version: secretVersion } = await world.call('administrator', operations.storeEndpointSecret, {
    ...asked(hook),
    sealed_secret: sealed,
  });
  await world.admin(hook.tenantId, webhookEvolver, hook.webhookId, (state) =>
    storeWebhookSecret({ secretVersion, overlapMs, nowMs: Date.now() }, state),
  );
  return secret;
}

/** Once the service knows of them all: what is told to it by a test waits for the end of ADMIN. */
async function known(...hooks: readonly Hook[]): Promise<void> {
  for (const hook of hooks) await redeliver(hook);
}

async function notify(tenantId: string, type: Notification['type'] = 'connection.revoked'): Promise<string> {
  const notice: Notification = {
    id: `${newId('commit')}.${type}`,
    type,
    at: timestampOf(Date.now()),
    tenant_id: tenantId,
    platform_id: newId('platform'),
    connection_id: newId('connection'),
    health: 'revoked',
    cause: null,
    evidence: null,
    reauthorize_url: null,
  };
  const subject = subjects.notify({ tenantId, type });
  await publishMessage(world.buses.audit, {
    stream: streams.notifications.name,
    subject,
    payload: notice,
    messageId: notice.id,
  });
  return notice.id.replaceAll('.', '-');
}

const deliveriesOf = async (hook: Hook): Promise<WebhookDelivery[]> =>
  (await world.call('administrator', operations.listDeliveries, asked(hook))).deliveries;
const redeliver = async (hook: Hook, messageId?: string): Promise<number> =>
  (await world.call('administrator', operations.redeliver, { ...asked(hook), message_id: messageId })).redelivered;
const test1 = async (hook: Hook) => await world.call('administrator', operations.testWebhook, asked(hook));

const becomes = async (hook: Hook, status: WebhookDelivery['status'], count = 1): Promise<WebhookDelivery[]> =>
  await waitFor(
    async () => {
      const found = await deliveriesOf(hook);
      return found.filter((one) => one.status === status).length >= count && found;
    },
    { timeoutMs, describe: async () => `${count} to be ${status}: ${JSON.stringify(await deliveriesOf(hook))}` },
  );

/** As a customer does, by the library of the standard. @throws when no signature fits */
function verified({ headers, body }: Received, secret: Uint8Array): Record<string, unknown> {
  const receiving = new StandardWebhook(Buffer.from(secret).toString('base64'));
  return receiving.verify(body, headers as Record<string, string>) as Record<string, unknown>;
}

test('a notification is delivered to the webhooks of its tenant that ask for it, signed, and to nobody else', async () => {
  const [tenantId, otherTenantId] = [await newTenant(), await newTenant()];
  const [all, some, stranger] = [await receiver(), await receiver(), await receiver()];
  const hook = await newHook(tenantId, all.url);
  const picky = await newHook(tenantId, some.url, ['connection.deleted']);
  const other = await newHook(otherTenantId, stranger.url);
  await known(hook, picky, other);
  const revoked = await notify(tenantId);
  const deleted = await notify(tenantId, 'connection.deleted');
  await becomes(hook, 'delivered', 2);
  await becomes(picky, 'delivered');
  expect(all.ids.toSorted()).toEqual([revoked, deleted].toSorted());
  expect([some.ids, stranger.ids]).toEqual([[deleted], []]);
  const [first] = some.received;
  if (first === undefined) throw new Error('nothing came');
  expect(verified(first, picky.secret)).toMatchObject({
    type: 'connection.deleted',
    timestamp: expect.any(String),
    data: { tenant_id: tenantId, type: 'connection.deleted' },
  });
  expect(() => verified(first, hook.secret)).toThrow('No matching signature');
  expect(await deliveriesOf(other)).toEqual([]);
  const [listed] = await deliveriesOf(picky);
  expect(listed?.attempts).toMatchObject([{ outcome: 'delivered', http_status: 204 }]);
  // Whoever names another tenant’s webhook finds none.
  expect(await codeOf(test1({ ...other, tenantId }))).toBe('webhook.not_found');
}, 120_000);

test('what was not taken comes again under the same id', async () => {
  const one = await receiver();
  const hook = await newHook(await newTenant(), one.url);
  one.answer = answering(503);
  await known(hook);
  const id = await notify(hook.tenantId);
  await waitFor(() => one.received.length === 1, { timeoutMs, describe: 'the first attempt' });
  one.answer = answering(200);
  const [delivery] = await becomes(hook, 'delivered');
  expect(one.ids).toEqual([id, id]);
  expect(new Set(one.received.map(({ body }) => body)).size).toBe(1);
  expect(delivery?.attempts.map(({ outcome }) => outcome)).toEqual(['http_503', 'delivered']);
}, 120_000);

test('what nobody took for a day is dead, is kept, and is sent again by hand', async () => {
  const one = await receiver();
  const hook = await newHook(await newTenant(), one.url);
  one.answer = answering(500);
  await known(hook);
  const id = await notify(hook.tenantId);
  const tries = notifierLimits.retryDelaysMs.length + 1;
  for (let n = 1; n <= tries; n += 1) {
    await waitFor(async () => (await deliveriesOf(hook))[0]?.attempts.length === n, {
      timeoutMs,
      describe: `attempt ${n}`,
    });
    clock.laterMs += 12 * hourMs;
    service.get(DeliverMessages).wake(hook);
  }
  const [dead] = await becomes(hook, 'dead');
  expect(service.get(Metrics).counter('postern.webhook.dead').value()).toBe(1);
  expect(dead).toMatchObject({ message_id: id, next_attempt_at: null });
  one.answer = answering(200);
  expect(await redeliver(hook)).toBe(1);
  await becomes(hook, 'delivered');
  expect(await redeliver(hook)).toBe(0);
  // What was taken can be sent again too, by its name.
  expect(await redeliver(hook, id)).toBe(1);
  await waitFor(() => one.received.length === tries + 2, { timeoutMs, describe: 'it to come once more' });
  expect(new Set(one.ids)).toEqual(new Set([id]));
  expect(await codeOf(redeliver(hook, 'no such message'))).toBe('webhook.delivery_not_found');
  clock.laterMs = 0;
}, 180_000);

test('while a secret takes over both sign, and afterwards the new one alone', async () => {
  const one = await receiver();
  const hook = await newHook(await newTenant(), one.url);
  const next = await newSecret(hook, hourMs);
  await test1(hook);
  const both = one.received[0] as Received;
  expect(String(both.headers['webhook-signature']).split(' ')).toHaveLength(2);
  for (const secret of [hook.secret, next]) expect(verified(both, secret)).toMatchObject({ type: 'webhook.test' });
  const last = await newSecret(hook, 0);
  await test1(hook);
  const alone = one.received[1] as Received;
  expect(verified(alone, last)).toMatchObject({ type: 'webhook.test' });
  for (const secret of [hook.secret, next]) expect(() => verified(alone, secret)).toThrow('No matching signature');
}, 120_000);

test('addresses that are not public, redirects, and answers that do not come or do not end are seen for what they are', async () => {
  const tenantId = await newTenant();
  const [one, target] = [await receiver(), await receiver()];
  const hook = await newHook(tenantId, one.url);
  for (const url of ['http://127.0.0.2:80/', 'https://10.0.0.1/', 'https://169.254.169.254/', 'https://[::1]/']) {
    expect(await test1(await newHook(tenantId, url))).toMatchObject({ outcome: 'address_refused', http_status: null });
  }
  one.answer = answering(307, { location: target.url });
  expect(await test1(hook)).toMatchObject({ outcome: 'redirected', http_status: 307 });
  expect(target.received).toEqual([]);
  one.answer = () => undefined;
  expect(await test1(hook)).toMatchObject({ outcome: 'timeout', http_status: null });
  const hungUp = Promise.withResolvers<void>();
  one.answer = (response) => {
    response.once('close', () => hungUp.resolve());
    response.writeHead(200);
    const flood = () => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
      if (!response.destroyed) response.once('drain', flood);
    };
    flood();
  };
  expect(await test1(hook)).toMatchObject({ outcome: 'delivered', http_status: 200 });
  await hungUp.promise;
}, 120_000);

test('one that does not answer delays nobody else', async () => {
  const tenantId = await newTenant();
  const [silent, prompt] = [await receiver(), await receiver()];
  const held: (() => void)[] = [];
  silent.answer = (response) => void held.push(() => response.writeHead(204).end());
  const [dead, alive] = [await newHook(tenantId, silent.url), await newHook(tenantId, prompt.url)];
  await known(dead, alive);
  const count = 3 * notifierLimits.inFlightPerWebhookMax;
  for (let n = 0; n < count; n += 1) await notify(tenantId);
  await becomes(alive, 'delivered', count);
  expect((await deliveriesOf(dead)).filter(({ status }) => status === 'delivered')).toEqual([]);
  silent.answer = answering(204);
  for (const release of held) release();
  service.get(DeliverMessages).wake(dead);
}, 120_000);

test('410 Gone disables it, and the tenant hears of that', async () => {
  const tenantId = await newTenant();
  const [leaving, staying] = [await receiver(), await receiver()];
  leaving.answer = answering(410);
  const gone = await newHook(tenantId, leaving.url, ['connection.revoked']);
  const stays = await newHook(tenantId, staying.url, ['webhook.disabled']);
  await known(gone, stays);
  await notify(tenantId);
  await becomes(stays, 'delivered');
  expect(verified(staying.received[0] as Received, stays.secret)).toMatchObject({
    type: 'webhook.disabled',
    data: { webhook_id: gone.webhookId, cause: 'http_410' },
  });
  await becomes(gone, 'dead');
  expect(service.get(Metrics).counter('postern.webhook.dead').value()).toBe(1);
  expect(await codeOf(redeliver(gone))).toBe('webhook.disabled');
  await notify(tenantId);
  expect(await codeOf(world.call('notifier', operations.releaseEndpointSecrets, asked(gone)))).toBe('webhook.disabled');
  expect(leaving.received).toHaveLength(1);
}, 120_000);

test('what failed since a moment is begun again page by page, and what is under way is left alone', async () => {
  const one = await receiver();
  const hook = await newHook(await newTenant(), one.url);
  await known(hook);
  // As a day of failures leaves it, and older than what is asked about; NOTIFICATIONS has nothing of it any more.
  const given = notifierLimits.redeliveredAtOnceMax + 1;
  const owed = async (positions: string, createdAt: string) =>
    await owner.em.getConnection().execute(
      `insert into notifier.delivery (tenant_id, webhook_id, position, message_id, type, status, created_at, settled_at)
        select ?, ?, 1000000 + n, 'dead-' || n, 'connection.revoked', 'dead', ?, now() from generate_series(${positions}) n`,
      [hook.tenantId, hook.webhookId, createdAt],
    );
  await owed('0, 9', '2026-01-01T00:00:00Z');
  await owed(`10, ${9 + given}`, '2026-02-01T00:00:00Z');
  const since = '2026-02-01T01:00:00+01:00';
  const again = async (more: { since?: string; after?: number; message_id?: string }) =>
    await world.call('administrator', operations.redeliver, { ...asked(hook), ...more });
  const first = await again({ since });
  expect(first).toEqual({ redelivered: given - 1, next: 1_000_000 + 9 + given - 1 });
  expect(await again({ since, after: first.next ?? 0 })).toEqual({ redelivered: 1, next: null });
  expect(await again({ since, after: 1_000_000 + 9 + given })).toEqual({ redelivered: 0, next: null });
  expect(await again({})).toMatchObject({ redelivered: expect.any(Number) });
  expect(await codeOf(again({ since, message_id: 'dead-1' }))).toBe('request.malformed');

  const [next, other] = [await newHook(hook.tenantId, (await receiver()).url), await receiver()];
  const waiting = await newHook(hook.tenantId, other.url);
  await known(next, waiting);
  const held = Promise.withResolvers<() => void>();
  other.answer = answering(503);
  const failed = await notify(hook.tenantId);
  await waitFor(async () => (await deliveriesOf(waiting))[0]?.attempts.length === 1, {
    timeoutMs,
    describe: 'the first attempt',
  });
  const now = timestampOf(Date.now() - hourMs);
  other.answer = (response) => held.resolve(() => response.writeHead(204).end());
  const begun = await world.call('administrator', operations.redeliver, { ...asked(waiting), since: now });
  expect(begun).toEqual({ redelivered: 1, next: null });
  const release = await held.promise;
  // It is being sent: nobody knows yet that it fails.
  expect(await world.call('administrator', operations.redeliver, { ...asked(waiting), since: now })).toMatchObject({
    redelivered: 0,
  });
  release();
  await becomes(waiting, 'delivered');
  expect(other.ids).toEqual([failed, failed]);
  expect(await world.call('administrator', operations.redeliver, { ...asked(next), since: now })).toMatchObject({
    redelivered: 0,
  });
}, 120_000);

test('killed between sending and writing it down, it sends the same message again', async () => {
  const one = await receiver();
  const hook = await newHook(await newTenant(), one.url);
  await known(hook);
  await service.stop();
  const child = spawn(process.execPath, [program, 'serve', 'notifier'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let lastWords = '';
  child.stderr.on('data', (chunk: Buffer) => (lastWords += chunk.toString('utf8')));
  // It has the message, and its sender dies before it hears so.
  one.answer = () => child.kill('SIGKILL');
  const id = await notify(hook.tenantId);
  // Not its death by itself, as when it cannot start.
  expect([await once(child, 'exit'), lastWords]).toEqual([[null, 'SIGKILL'], '']);
  expect(one.ids).toEqual([id]);
  one.answer = answering(204);
  await start();
  await becomes(hook, 'delivered');
  expect(one.ids).toEqual([id, id]);
}, 120_000);

test('what is signed by the log’s key is dropped as a file, by size and as the newest, and nothing smaller after it', async () => {
  const leaf = treeLeafHash(Buffer.from('leaf'));
  const note = (size: number, root = leaf) =>
    signCheckpoint({ origin: `${log.name}/ACCESS`, size, root }, [logKey.privateJwk]);
  const put = async (text: string) =>
    await publishMessage(world.buses.audit, {
      stream: streams.checkpoints.name,
      subject: subjects.checkpoint('ACCESS'),
      payload: { note: text, subtrees: [], lastLeaf: leaf.toString('base64'), consistency: [] },
    });
  const newest = join(dropped, 'ACCESS.checkpoint');
  const holds = (text: string) =>
    waitFor(() => existsSync(newest) && readFileSync(newest, 'utf8') === text, { timeoutMs, describe: 'the file' });
  await put(note(1));
  await holds(note(1));
  await put(note(1, emptyTreeHash));
  await put(note(3).replace('\n3\n', '\n4\n'));
  await put(note(2));
  await holds(note(2));
  // Another tree of one message, and what the log's key did not sign.
  expect(service.get(Metrics).counter('postern.checkpoint.drop.problems').value()).toBe(2);
  expect(readdirSync(join(dropped, 'ACCESS')).toSorted()).toEqual(['1.checkpoint', '2.checkpoint']);
  expect(readFileSync(join(dropped, 'ACCESS', '1.checkpoint'), 'utf8')).toBe(note(1));
}, 120_000);

test('what each witness has cosigned is dropped too, and is what audit verify wants offline', async () => {
  const bus = world.buses.audit;
  const [admin, checkpoints] = (['admin', 'checkpoints'] as const).map(
    (stream) => new JetStreamEventLog({ bus, stream }),
  ) as [JetStreamEventLog, JetStreamEventLog];
  const keys = [logKey.privateJwk];
  const { newest } = await new CheckpointKeeper({ stream: 'admin', log: admin, checkpoints, trust: log, keys }).round();
  const cosigned = join(dropped, 'ADMIN.cosigned');
  await waitFor(() => existsSync(cosigned), { timeoutMs, describe: 'the file' });
  const [exported, bare] = [join(folder, 'admin.ndjson'), join(dropped, 'ADMIN.checkpoint')];
  const lines: string[] = [];
  for await (const message of admin.read({ filter: subjects.allAdmin, untilPosition: newest?.size })) {
    lines.push(`${JSON.stringify(exportMessage(message))}\n`);
  }
  writeFileSync(exported, lines.join(''));
  const named = witnesses.flatMap((one) => ['--witness', witnessVerifierKey(one)]);
  const verify = (checkpoint: string, ...more: string[]) => {
    const trust = ['--trust', env['POSTERN_TRUST_FILE'] ?? ''];
    const args = ['audit', 'verify', '--file', exported, '--checkpoint', checkpoint, ...trust, ...named, ...more];
    return spawnSync(process.execPath, [program, ...args, '--quorum', '2'], { encoding: 'utf8' });
  };
  const { status, stdout, stderr } = verify(cosigned);
  expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('proved to its end')]);
  // What only the log's own key has signed is not enough.
  expect(verify(bare).stderr).toContain('is not cosigned by 2 of the witnesses named');
  const told = service
    .get(Metrics)
    .text()
    .match(/postern_witness_behind_seconds\{stream="ADMIN".*/g);
  expect(told).toEqual(
    witnesses.map(({ name }) => `postern_witness_behind_seconds{stream="ADMIN",witness="${name}"} 0`),
  );
}, 120_000);

test('every table stands behind the tenants’ wall', async () => {
  const rows = await owner.em
    .getConnection()
    .execute<{ table_name: string }[]>(
      `select table_name from information_schema.tables where table_schema = 'notifier'`,
    );
  const tables = rows.map(({ table_name }) => table_name).filter((name) => name !== 'migration');
  expect(new Set(tables)).toEqual(new Set(Object.keys(notifierGrants)));
  const role = new MikroORM({
    clientUrl: readFileSync(env['POSTERN_DATABASE_URL_FILE'] ?? '', 'utf8'),
    entities: [],
    discovery: { warnWhenNoEntities: false },
  });
  const seen = async (tenantId: string | undefined, sql: string) =>
    await role.em.fork().transactional(async (em) => {
      if (tenantId !== undefined) await em.execute('select set_config(?, ?, true)', [tenantSetting, tenantId]);
      return await em.execute<{ tenant_id: string }[]>(sql);
    });
  try {
    for (const table of Object.keys(notifierGrants)) {
      const all = await owner.em.getConnection().execute<{ tenant_id: string }[]>(`select * from notifier.${table}`);
      const [first] = all;
      if (first === undefined) throw new Error(`${table} has no rows to look for`);
      const select = `select tenant_id from notifier.${table}`;
      expect(new Set((await seen(first.tenant_id, select)).map((row) => row.tenant_id))).toEqual(
        new Set([first.tenant_id]),
      );
      expect(await seen(newId('tenant'), select)).toEqual([]);
      expect(await seen(undefined, select)).toEqual([]);
      expect(await seen(newId('tenant'), `delete from notifier.${table} returning tenant_id`)).toEqual([]);
    }
    const insert = `insert into notifier.delivery (tenant_id, webhook_id, position, message_id, type, status, created_at)
      values ('${newId('tenant')}', 'w', 1, 'm', 't', 'dead', now())`;
    await expect(seen(newId('tenant'), insert)).rejects.toThrow(/row-level security/);
  } finally {
    await role.close(true);
  }
}, 120_000);

test('no signing secret stands on the bus, in a table or in a log line', async () => {
  const files = readdirSync(`${folder}/nats`, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const stored = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
  const rows = await Promise.all(
    ['notifier.delivery', 'notifier.attempt', 'vault.owned_secret'].map((table) =>
      owner.em.getConnection().execute<unknown[]>(`select t::text from ${table} t`),
    ),
  );
  const places = [...stored, Buffer.from(JSON.stringify(rows)), Buffer.from(logged.join(''))];
  expect(logged.length).toBeGreaterThan(10);
  expect(places.some((place) => place.includes('webhook'))).toBe(true);
  expect(secrets.length).toBeGreaterThan(10);
  for (const secret of secrets) {
    const written = [secret, secret.toString('base64'), secret.toString('base64url'), secret.toString('hex')];
    expect(places.some((place) => written.some((one) => place.includes(one)))).toBe(false);
  }
}, 120_000);
