import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { newId, operations } from '@postern/contracts';
import * as domain from '@postern/domain';
import { describeWithServer, startObjectStore } from '@postern/servers';
import { waitFor } from '@postern/testing';

import { SpecPast } from './spec-past.ts';

const [shop, agentId, crm] = [newId('platform'), newId('agent'), newId('registration')];

let past: SpecPast;
let connections: string[] = [];
/** Moments as answers named them. */
let [early, late] = ['', ''];
let told = '';

beforeAll(async () => {
  past = await SpecPast.start();
  await past.administer(domain.tenantEvolver, past.tenantId, (state) => domain.createTenant({ name: 'T' }, state));
  await past.administer(domain.platformEvolver, shop, (state) =>
    domain.createPlatform({ name: 'shop', returnUrls: [] }, state),
  );
  await past.administer(domain.agentEvolver, agentId, (state) =>
    domain.createAgent({ platformId: shop, name: 'day' }, state),
  );
  await past.administer(domain.registrationEvolver, crm, (state) =>
    domain.createRegistration(
      {
        ...{ providerId: 'acme', displayName: crm, clientId: crm, tokenEndpointAuthMethod: 'none', parameters: {} },
        scopes: ['read'],
      },
      state,
    ),
  );
  const connecting = { platformId: shop, registrationId: crm, scopes: ['read'] };
  for (let n = 0; n < 3; n += 1) connections.push(await past.connect(connecting));
  for (const connectionId of connections) await past.record({ connectionId, platformId: shop, agentId });
  early = await now();
  const [first = ''] = connections;
  await past.decide('revocation', first, (state) => domain.suspendConnection({ reason: null }, state));
  await past.record({ connectionId: first, platformId: shop, agentId, code: 'connection.suspended' });
  late = await now();
  told = await all();
  await past.cut(connections);
  // What comes afterwards is another connection, behind the cut.
  connections = [...connections, await past.connect(connecting)];
}, 120_000);
afterAll(() => past.stop());

async function now(): Promise<string> {
  const { moment, time } = (await past.ask(operations.whoDid, {})).answered_at;
  await waitFor(() => Promise.resolve(Date.now() > Date.parse(time)), { describe: 'the next millisecond' });
  return moment;
}

/** Every question about moments before the cut, as the bus and HTTP answer it: byte for byte. */
async function all(): Promise<string> {
  const time = early.split('@')[1] ?? '';
  const position = early.split('/')[0] ?? '';
  return JSON.stringify([
    await past.ask(operations.whoCould, { at: early }, shop),
    await past.ask(operations.whoCould, { at: late, limit: 2 }),
    await past.ask(operations.whoCould, { at: time }),
    await past.ask(operations.whoCould, { at: position, connection_id: connections[0] ?? '' }),
    await past.ask(operations.whoDid, { at: late }, shop),
    await past.ask(operations.whoDid, { from: early, at: late }),
    await past.ask(operations.diff, { at: early, until: late }),
    await past.ask(operations.diff, { at: early, until: late, after: 'connections.0' }),
    await past.ask(operations.listEvents, { connection_id: connections[1] ?? '', limit: 2 }, shop),
  ]);
}

const eventsOf = async (id: string, after = 0) =>
  (await past.ask(operations.listEvents, { connection_id: id, after })).events;
const here = async (request: object = {}) => (await past.ask(operations.whoCould, request)).connections;

describe('what was archived and dropped', () => {
  test('is answered by a running audit as it was before, byte for byte', async () => {
    expect(told).toContain('"suspended":true');
    expect(await all()).toBe(told);
    expect((await here()).map(({ connection_id: id }) => id)).toEqual(connections);
    // A connection's life goes on behind the cut, page by page.
    const [first = ''] = connections;
    const { events, next } = await past.ask(operations.listEvents, { connection_id: first, limit: 4 });
    const types = [...events, ...(await eventsOf(first, next ?? 0))].map(({ type }) => type);
    expect(types).toEqual([
      ...['AuthorizationStarted', 'CodeExchangeStarted', 'ConnectionAuthorized', 'ConnectionSuspended'],
      ...['EpochClosed', 'EpochOpened'],
    ]);
  });

  test('is answered by an audit that started after it was dropped, too', async () => {
    await past.restartAudit();
    expect(readdirSync(past.snapshotDir).length).toBeGreaterThan(1);
    expect(await all()).toBe(told);
    expect((await here()).map(({ connection_id: id }) => id)).toEqual(connections);
  });

  test('is answered the same by an audit that recalls nothing', async () => {
    await past.restartAudit(past.archiveDir, { POSTERN_SNAPSHOT_DIR: join(past.snapshotDir, 'elsewhere') });
    expect(await all()).toBe(told);
    expect((await here()).map(({ connection_id: id }) => id)).toEqual(connections);
  });

  test('is refused by an audit that knows of no archive, which answers about what stands', async () => {
    await past.restartAudit(null);
    await expect(past.ask(operations.whoCould, { at: early })).rejects.toMatchObject({ code: 'audit.past_not_here' });
    await expect(past.ask(operations.whoDid, {})).rejects.toMatchObject({ code: 'audit.past_not_here' });
    const diff = past.ask(operations.diff, { at: early, until: late });
    await expect(diff).rejects.toMatchObject({ code: 'audit.past_not_here' });
    const [first = '', , , last = ''] = connections;
    await expect(eventsOf(first)).rejects.toMatchObject({ code: 'audit.past_not_here' });
    expect((await eventsOf(first, Number(late.split('/')[0]))).map(({ type }) => type)).toEqual([
      ...['EpochClosed', 'EpochOpened'],
    ]);
    expect((await eventsOf(last)).map(({ revision }) => revision)).toContain(1);
    expect((await here()).map(({ connection_id: id, suspended }) => [id, suspended])).toEqual(
      connections.map((id, index) => [id, index === 0]),
    );
  });

  test('is refused where the archive that is named does not hold it', async () => {
    await past.restartAudit(join(past.archiveDir, 'nowhere'));
    await expect(here({ at: early })).rejects.toMatchObject({ code: 'audit.past_not_here' });
    await expect(here()).rejects.toMatchObject({ code: 'audit.past_not_here' });
  });

  test('is not answered from an archive in which a byte was changed', async () => {
    const folder = join(past.archiveDir, 'CONNECTIONS');
    const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.gz')) ?? '');
    const kept = readFileSync(file);
    const changed = Buffer.from(kept);
    changed.writeUInt8((changed[40] ?? 0) ^ 1, 40);
    writeFileSync(file, changed);
    try {
      await past.restartAudit();
      await expect(here({ at: early })).rejects.toMatchObject({ code: 'log.message_damaged' });
    } finally {
      writeFileSync(file, kept);
    }
  });
});

await describeWithServer('versitygw', 'what was archived into an object store', () => {
  test('is answered as from a folder, byte for byte, and refused while the store is gone', async () => {
    const place = join(past.archiveDir, '..', 'store');
    const store = await startObjectStore({ dataDir: place, bucket: 'archives' });
    try {
      cpSync(past.archiveDir, join(store.bucketDir, 'house'), { recursive: true });
      const { url: endpoint, accessKeyId, secretAccessKey } = store;
      const file = `${place}.json`;
      const settings = { endpoint, access_key_id: accessKeyId, secret_access_key: secretAccessKey };
      writeFileSync(file, JSON.stringify(settings), { mode: 0o600 });
      const more = {
        POSTERN_ARCHIVE_S3_FILE: file,
        POSTERN_SNAPSHOT_DIR: join(past.snapshotDir, 'of-the-store'),
      };
      await past.restartAudit('s3://archives/house', more);
      expect(await all()).toBe(told);
      await past.restartAudit('s3://archives/house', more);
    } finally {
      await store.stop();
    }
    await expect(past.ask(operations.whoCould, { at: early })).rejects.toMatchObject({ code: 'log.unavailable' });
  }, 180_000);
});
