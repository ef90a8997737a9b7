import type { EntityManager } from '@mikro-orm/postgresql';
import { newId, operations, timestampOf, type ModelName } from '@postern/contracts';
import type { RunningService } from '@postern/service';
import { AccessReader, CommitReader, commitVerifier } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';
import { openDatabase, tenantSetting } from '@postern/persistence';
import { waitFor } from '@postern/testing';

import { beginGeneration, setAsideDifference } from './checkpoints.ts';
import { connectionsModel } from './connections-model.ts';
import { healthModel } from './health-model.ts';
import { arrayLiteral, firstDifference } from './model-rows.ts';
import { notificationsModel } from './notifications-model.ts';
import { Projector, type ModelDatabase, type Standing } from './projector.ts';
import { auditEntities, auditGrants, auditSchema, modelTables, sharedTables, type ModelTable } from './tables.ts';
import { event, ModelsWorld, WrittenConnection } from '../spec-support/models-world.ts';

const hourMs = 3_600_000;
const patience = { timeoutMs: 120_000 };
const platformId = newId('platform');
let world: ModelsWorld;
let audit: RunningService;
let [right, other] = ['', ''];

beforeAll(async () => {
  world = await ModelsWorld.open();
  [right, other] = [await world.addTenant(), await world.addTenant()];
  audit = await world.startAudit();
}, 240_000);
afterAll(async () => {
  await audit?.stop();
  await world?.close();
});

const listed = async (model: ModelName) => {
  const { projections } = await world.ask(operations.listProjections, {});
  const found = projections.find((one) => one.model === model);
  if (found === undefined) throw new Error(model);
  return found;
};
const caughtUp = async () =>
  await waitFor(
    async () => (await world.ask(operations.listProjections, {})).projections.every(({ state }) => state === 'current'),
    { ...patience, describe: 'every read model to be at the end of its log' },
  );
const live = (model: ModelName) =>
  `generation = (select generation from audit.projection where model = '${model}' and role = 'live')`;
const failed = (error: string, httpStatus: number | null, atMs: number) =>
  event('RefreshFailed', { claimId: newId('claim'), error, httpStatus, nextAttemptAtMs: atMs + 60_000 });
const connection = (tenantId = right, providerId?: string) => new WrittenConnection(tenantId, platformId, providerId);

describe('read models', () => {
  test('follow the log, each tenant behind its wall, with their checkpoint beside the rows', async () => {
    const [mine, theirs] = [connection(), connection(other)];
    await world.authorize(mine);
    await world.authorize(theirs);
    const suspended = await world.commit(mine, 'revocation', [event('ConnectionSuspended', { reason: null })]);
    await caughtUp();
    const sql = `select connection_id, revision::integer as revision, health from audit.connection where ${live('connections')}`;
    expect(await world.query(sql, right)).toEqual([{ connection_id: mine.id, revision: 3, health: 'suspended' }]);
    expect(await world.query(sql, other)).toEqual([{ connection_id: theirs.id, revision: 2, health: 'ok' }]);
    expect(await world.query(sql)).toEqual([]);
    const { generations, set_aside, head } = await listed('connections');
    expect(generations).toEqual([expect.objectContaining({ role: 'live', position: suspended, messages: suspended })]);
    expect([head, set_aside.count]).toEqual([suspended, 0]);
    const told = `select type from audit.notification where ${live('notifications')}`;
    expect(await world.query(told, right)).toEqual([{ type: 'connection.authorized' }]);
  });

  test('drop hours that are older than what is kept, by the days that the log itself tells, and agree with a fresh fold', async () => {
    const tenantId = await world.addTenant();
    const connectionId = newId('connection');
    const writer = newId('lease');
    let sequence = 0;
    // An hour may end meanwhile, and what is used twice so many days ago is to be of one.
    const nowMs = Date.now();
    const used = async (daysAgo: number) => {
      const at = timestampOf(nowMs - daysAgo * 24 * hourMs);
      await world.record(writer, ++sequence, [
        { tenantId, connectionId, at },
        { tenantId, connectionId, at },
      ]);
      await caughtUp();
    };
    const rows = async () => {
      const sql = `select hour_ms::bigint as hour_ms, uses::integer from audit.access_hour where ${live('access')} order by hour_ms`;
      const daysOld = (ms: unknown) => Math.round((nowMs - Number(ms)) / (24 * hourMs));
      return (await world.query(sql, tenantId)).map(({ hour_ms: ms, uses }) => [daysOld(ms), uses]);
    };
    const verify = async () => await world.ask(operations.verifyProjection, { model: 'access' });
    const keptFrom = async () => {
      const from = (await listed('access')).generations.find(({ role }) => role === 'live')?.kept_from ?? '';
      return Math.round((Date.now() - Date.parse(from)) / (24 * hourMs));
    };
    for (const daysAgo of [100, 95, 80]) await used(daysAgo);
    expect(await rows()).toEqual([100, 95, 80].map((days) => [days, 2]));
    expect(await verify()).toMatchObject({ same: true });
    // A day later it would be the same: the newest record says what is old, not the clock.
    await used(1);
    await waitFor(async () => (await rows()).length === 2, { ...patience, describe: 'what is too old to be removed' });
    // What comes late makes no row, and a writer whose clock is ahead drops nothing before its time.
    await used(100);
    await used(-400);
    expect((await rows()).map(([days]) => days)).toEqual([80, 1, -400]);
    expect(await keptFrom()).toBeLessThan(93);
    expect(await verify()).toMatchObject({ same: true });

    // Whoever keeps them longer has them from now on, or from when they are made anew.
    await audit.stop();
    audit = await world.startAudit({ POSTERN_ACCESS_KEPT_DAYS: '200' });
    await caughtUp();
    expect(await verify()).toMatchObject({ same: true });
    await world.ask(operations.rebuildProjection, { model: 'access' });
    expect(await rows()).toEqual([
      ...[100, 95].map((days) => [days, days === 100 ? 4 : 2]),
      [80, 2],
      [1, 2],
      [-400, 2],
    ]);
    expect(await verify()).toMatchObject({ same: true });

    // The same over a stream whose beginning is archived and dropped.
    await world.dropAccess();
    await used(2);
    const across = await rows();
    expect(await verify()).toMatchObject({ same: true, messages: sequence });
    await world.ask(operations.rebuildProjection, { model: 'access' });
    expect(await rows()).toEqual(across);
    await audit.stop();
    audit = await world.startAudit({ POSTERN_ARCHIVE_DIR: `${world.archiveDir}-elsewhere` });
    await caughtUp();
    for (const asked of [operations.verifyProjection, operations.rebuildProjection]) {
      await expect(world.ask(asked, { model: 'access' })).rejects.toMatchObject({ code: 'audit.past_not_here' });
    }
    await used(3);
    await waitFor(async () => (await rows()).length === 5, { ...patience, describe: 'the shorter time to be heeded' });
    await audit.stop();
    audit = await world.startAudit();
  });

  test('count leases by hour, and set a repeated group and a gap aside by their positions', async () => {
    const tenantId = await world.addTenant();
    const one = { tenantId, connectionId: newId('connection') };
    const writer = newId('lease');
    await world.record(writer, 1, [one, one, { ...one, outcome: 'refused', code: 'connection.revoked' }]);
    const gap = await world.record(writer, 3, [one]);
    await caughtUp();
    const sql = `select code, uses::integer from audit.access_hour where ${live('access')} order by code`;
    const rows = await world.query(sql, tenantId);
    expect(rows.map(({ code }) => code).filter((code) => code !== '')).toEqual(['connection.revoked']);
    expect(rows.filter(({ code }) => code === '').reduce((sum, { uses }) => sum + Number(uses), 0)).toBe(3);
    expect((await listed('access')).set_aside).toEqual({
      count: 1,
      first: [{ position: gap, kind: 'gap', reason: 'number 3 of its writer follows 1' }],
    });
  });

  test('of one stream walk together, wait for none that cannot go on, and are joined by it again', async () => {
    const transactions = async () =>
      await world.query(`select model, xmin::text as moved_in from audit.projection
        where role = 'live' and model <> 'access' order by model`);
    const movedIn = async () => (await transactions()).map((row) => row['moved_in']);
    const one = connection();
    await world.authorize(one);
    await caughtUp();
    expect(new Set(await movedIn()).size).toBe(1);

    const state = async (model: ModelName) => (await listed(model)).state;
    await world.within('', async (em) => {
      await em.execute(`select 1 from audit.projection where model = 'notifications' and role = 'live' for update`);
      await world.authorize(connection());
      await world.commit(one, 'revocation', [event('ConnectionSuspended', { reason: null })]);
      const others = async () => (await state('connections')) === 'current' && (await state('health')) === 'current';
      await waitFor(others, { ...patience, describe: 'the other models to be at the end of the log' });
      expect(await state('notifications')).toBe('behind');
    });
    await caughtUp();
    await world.commit(one, 'revocation', [event('ConnectionResumed', { reason: null })]);
    await caughtUp();
    expect(new Set(await movedIn()).size).toBe(1);
    expect((await listed('notifications')).set_aside.count).toBe(0);
    for (const model of ['connections', 'health', 'notifications'] as const) {
      expect(await world.ask(operations.verifyProjection, { model })).toMatchObject({ same: true });
    }
  });

  test('set aside what is forged, what follows nothing and what no table takes, and go on with the others', async () => {
    const [broken, strange, well] = [connection(), connection(), connection()];
    await world.authorize(broken);
    const forged = await world.forge(broken);
    await world.commit(broken, 'revocation', [event('ConnectionSuspended', { reason: null })], { lost: true });
    const gap = await world.commit(broken, 'revocation', [event('ConnectionResumed', { reason: null })]);
    await world.authorize(strange);
    // PostgreSQL takes no NUL into a text.
    const nul = await world.commit(strange, 'refresh', [
      event('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: 'a\u0000b' }),
    ]);
    await world.authorize(well);
    await caughtUp();
    const health = (await listed('health')).set_aside;
    expect(health.first).toEqual([
      { position: forged, kind: 'foreign', reason: expect.any(String) },
      { position: gap, kind: 'gap', reason: 'revision 4 follows 2' },
      { position: nul, kind: 'unusable', reason: 'a text of it holds U+0000' },
    ]);
    // It is the row of one model that is no row: the others have it.
    expect((await listed('connections')).set_aside.first.map(({ position }) => position)).toEqual([forged, gap]);
    const sql = `select connection_id, revision::integer as revision from audit.connection_health where ${live('health')}`;
    const revisions = new Map((await world.query(sql, right)).map((row) => [row['connection_id'], row['revision']]));
    expect([broken, strange, well].map(({ id }) => revisions.get(id))).toEqual([2, 2, 2]);
    const text = await (await fetch(`${audit.httpUrl}/metrics`)).text();
    const counted = text.split('\n').filter((line) => line.startsWith('postern_audit_projection_set_aside_total{'));
    const ofGaps = counted.filter((line) => line.includes('model="health"') && line.includes('kind="gap"'));
    expect(ofGaps.map((line) => line.split('} ')[1])).toEqual(['1']);
  });

  test('are the same in whatever batches, and where some of what was folded ahead is not written', async () => {
    const [whole, broken] = [connection(), connection()];
    for (const one of [whole, broken]) await world.authorize(one);
    for (let turn = 0; turn < 12; turn += 1) {
      const type = turn % 2 === 0 ? 'ConnectionSuspended' : 'ConnectionResumed';
      // A row that no table takes, and the one that would follow it without what makes it so.
      const strange = connection();
      await world.authorize(strange);
      const cause = { cause: 'refresh_rejected' as const, evidence: 'a\u0000b' };
      await world.commit(strange, 'refresh', [event('ReauthorizationRequired', cause)]);
      await world.commit(strange, 'revocation', [
        event('ConnectionRevoked', { cause: 'requested_by_platform', reason: null, evidence: null }),
      ]);
      for (const one of [whole, broken]) {
        const lost = one === broken && turn === 6;
        await world.commit(one, 'revocation', [event(type, { reason: null })], { lost });
      }
    }
    await caughtUp();
    const models = [connectionsModel, healthModel, notificationsModel];
    const opened = { url: world.databaseUrl, entities: auditEntities, schema: auditSchema, sharedTables, poolMax: 4 };
    const database = openDatabase({ ...opened, unavailableCode: 'audit.database_unavailable' });
    const verifier = commitVerifier(world.trust);
    const log = new JetStreamEventLog({ bus: await world.bus('audit'), stream: 'connections' });
    const given = { stream: 'connections', log, keptMs: 0, batchMessagesMax: 2 } as const;
    const readers = { reader: new CommitReader({ verifier }), accessReader: new AccessReader({ verifier }) };
    let [common, lost] = [0, 0];
    const losing: ModelDatabase = {
      acrossTenants: async (work) =>
        await database.acrossTenants(async (transaction) => {
          let moved = 0;
          const run: typeof transaction.run = async (query) => {
            if (query.name === 'checkpoint_moved') moved += 1;
            return await transaction.run(query);
          };
          const done = await work({ ...transaction, run });
          if (moved < models.length || (common += 1) % 10 > 0) return done;
          lost += 1;
          throw new Error('what was written is rolled back');
        }),
    };
    try {
      const projector = new Projector({ ...given, ...readers, database: losing });
      const standings: Standing[] = [];
      for (const model of models) {
        await database.acrossTenants((tx) => beginGeneration(tx, { model: model.name, role: 'verifying', nowMs: 0 }));
        standings.push(await projector.standing(model, 'verifying'));
      }
      const walked = await projector.walk(standings);
      expect(walked.failed).toEqual([]);
      expect(lost).toBeGreaterThan(1);
      for (const { model, checkpoint } of walked.standings) {
        const live = await projector.standing(model, 'live');
        expect(checkpoint).toMatchObject({ position: live.checkpoint.position, messages: live.checkpoint.messages });
        const pair = [live.checkpoint.generation, checkpoint.generation] as const;
        for (const table of model.tables as readonly ModelTable[]) {
          const difference = firstDifference(table, { pair, keptFromMs: 0 });
          const found = await database.acrossTenants(({ inTenant }) => inTenant(right, [difference]));
          expect(found).toEqual([[]]);
        }
        const aside = await database.acrossTenants((tx) => setAsideDifference(tx, model.name, pair));
        expect(aside).toBeUndefined();
        await expect(world.ask(operations.verifyProjection, { model: model.name })).resolves.toMatchObject({
          same: true,
        });
      }
    } finally {
      await database.close();
    }
  });

  test('are compared with a fresh fold byte for byte, and the first row that differs is named', async () => {
    await caughtUp();
    const sames = [];
    for (const model of ['connections', 'health', 'notifications', 'access'] as const) {
      sames.push(await world.ask(operations.verifyProjection, { model }));
    }
    expect(sames.map(({ same, difference }) => ({ same, difference }))).toEqual(
      Array.from({ length: 4 }, () => ({ same: true, difference: null })),
    );
    await world.query(
      `update audit.connection set health = 'revoked' where ${live('connections')} and revision = 3`,
      right,
    );
    const verified = await world.ask(operations.verifyProjection, { model: 'connections' });
    expect(verified).toMatchObject({ same: false, difference: { table: 'connection', tenant_id: right } });
    expect(verified.difference?.live).toContain('"health": "revoked"');
    expect(verified.difference?.fresh).toContain('"health": "suspended"');
    expect((await listed('connections')).generations).toHaveLength(1);
  });

  test('are made anew beside the live ones, and then stand in their place', async () => {
    const before = (await listed('connections')).generations[0]?.generation ?? 0;
    const rebuilt = await world.ask(operations.rebuildProjection, { model: 'connections' });
    expect(rebuilt.generation).toBeGreaterThan(before);
    const { generations } = await listed('connections');
    expect(generations).toEqual([expect.objectContaining({ role: 'live', generation: rebuilt.generation })]);
    expect(await world.ask(operations.verifyProjection, { model: 'connections' })).toMatchObject({ same: true });
    const left = `select count(*)::integer as rows from audit.connection where generation <> ${rebuilt.generation}`;
    expect(await world.query(left, right)).toEqual([{ rows: 0 }]);
    const later = connection();
    await world.authorize(later);
    await caughtUp();
    const found = `select 1 as found from audit.connection where ${live('connections')} and connection_id = '${later.id}'`;
    expect(await world.query(found, right)).toEqual([{ found: 1 }]);
  });

  test('go on after a restart where their checkpoint stands, and read nothing twice', async () => {
    const { messages } = (await listed('health')).generations[0] ?? { messages: 0 };
    await audit.stop();
    const later = connection();
    await world.authorize(later);
    audit = await world.startAudit();
    await caughtUp();
    expect((await listed('health')).generations[0]?.messages).toBe(messages + 2);
  });

  test('halt before a log that is another one, say so, and live again when they are made anew', async () => {
    await caughtUp();
    await world.query(`update audit.projection set log_identity = 'of another log' where model = 'notifications'`);
    const late = connection();
    await world.authorize(late);
    const halted = async () => (await listed('notifications')).state === 'halted';
    await waitFor(halted, { ...patience, describe: 'the read model to be halted' });
    const { behind } = await listed('notifications');
    expect(behind).toBeGreaterThan(0);
    await world.ask(operations.rebuildProjection, { model: 'notifications' });
    await caughtUp();
    expect(await world.ask(operations.verifyProjection, { model: 'notifications' })).toMatchObject({ same: true });
  });
});

describe('the owner of a connection', () => {
  test('is told once when an incident begins and once when it is over, whatever is delivered again; the table says the same', async () => {
    const tenantId = await world.addTenant();
    const one = connection(tenantId);
    await world.authorize(one);
    const atMs = Date.now();
    for (let times = 0; times < 3; times += 1) await world.commit(one, 'refresh', [failed('http_503', 503, atMs)]);
    const bought = { grantedScopes: ['read'], accessTokenExpiresAtMs: atMs + hourMs };
    const refreshed = event('AccessTokenRefreshed', { claimId: newId('claim'), credentialVersion: 2, ...bought });
    await world.commit(one, 'refresh', [refreshed]);
    const told = ['connection.authorized', 'connection.health_changed', 'connection.health_changed'];
    await waitFor(async () => (await world.heard(tenantId)).length === told.length, {
      ...patience,
      describe: async () => `what is told: ${JSON.stringify(await world.heard(tenantId))}`,
    });
    await world.tellAgain();
    const heard = await world.heard(tenantId);
    expect(heard.map(({ type }) => type)).toEqual(told);
    expect(heard.map(({ health }) => health)).toEqual(['ok', 'degraded', 'ok']);
    await caughtUp();
    const sql = `select notification_id from audit.notification where ${live('notifications')} order by position`;
    expect((await world.query(sql, tenantId)).map((row) => row['notification_id'])).toEqual(heard.map(({ id }) => id));
  });
});

describe('health, as it is asked', () => {
  test('tells one connection apart from its provider, to its platform alone', async () => {
    const tenantId = await world.addTenant();
    const nowMs = Date.now();
    const at = { atMs: nowMs - 120_000 };
    const [dead, ...down] = Array.from({ length: 4 }, () => connection(tenantId, 'salesforce'));
    for (const one of [dead, ...down]) if (one !== undefined) await world.authorize(one, nowMs - hourMs / 2);
    if (dead === undefined) throw new Error('none');
    const [claimId, credentialVersion] = [newId('claim'), 1];
    const rejected = event('RefreshRejected', {
      ...{ claimId, credentialVersion, error: 'invalid_grant', errorDescription: null, httpStatus: 400 },
    });
    const required = event('ReauthorizationRequired', { cause: 'refresh_rejected', evidence: 'invalid_grant' });
    await world.commit(dead, 'refresh', [rejected, required], at);
    for (const one of down) await world.commit(one, 'refresh', [failed('http_503', 503, at.atMs)], at);
    await world.record(newId('lease'), 1, [{ tenantId, connectionId: down[0]?.id ?? '' }]);
    await caughtUp();

    const mine = { tenantId, platformId };
    const overview = await world.ask(operations.healthOverview, {}, mine);
    expect(overview.providers).toEqual([
      expect.objectContaining({ provider: 'salesforce', state: 'down', failing: 3, died: 1, connections: 4 }),
    ]);
    expect(overview.providers[0]?.by_themselves).toEqual([
      expect.objectContaining({ connection_id: dead.id, state: 'reauthorization_required' }),
    ]);
    expect(overview.as_of.behind).toBe(0);

    const page = await world.ask(
      operations.connectionsHealth,
      { provider: 'salesforce', state: 'failing', limit: 2 },
      mine,
    );
    expect(page.connections.map(({ state, remedy }) => [state, remedy])).toEqual([
      ['failing', 'provider'],
      ['failing', 'provider'],
    ]);
    const rest = await world.ask(
      operations.connectionsHealth,
      { state: 'failing', limit: 2, ...(page.next !== null && { after: page.next }) },
      mine,
    );
    const seen = [...page.connections, ...rest.connections].map((one) => one.connection_id);
    expect(seen.toSorted()).toEqual(down.map(({ id }) => id).toSorted());
    const used = [...page.connections, ...rest.connections].filter((one) => one.last_used_at !== null);
    expect(used.map((one) => one.connection_id)).toEqual([down[0]?.id]);

    const stranger = { tenantId, platformId: newId('platform') };
    expect((await world.ask(operations.healthOverview, {}, stranger)).providers).toEqual([]);
    const theirs = world.ask(operations.connectionsHealth, { connection_id: dead.id }, stranger);
    await expect(theirs).rejects.toMatchObject({ code: 'connection.not_found' });
    const elsewhere = world.ask(
      operations.connectionsHealth,
      { connection_id: dead.id },
      { tenantId: right, platformId },
    );
    await expect(elsewhere).rejects.toMatchObject({ code: 'connection.not_found' });

    const all = await world.ask(operations.providersHealth, { provider: 'salesforce' });
    expect(all.providers).toEqual([expect.objectContaining({ state: 'down', tenants_failing: 1 })]);
  });
});

test('PostgreSQL reads a column just as it was, whatever stands in it', async () => {
  const texts = [
    '',
    'a b',
    'null',
    'NULL',
    '{}',
    'a,b',
    '"',
    '\\',
    '\\n',
    '\n\r\t\u0001\u007f',
    '}"\\\n',
    'ä\u{1F511}',
    '\u2028',
  ];
  for (const values of [[...texts, null], texts.filter((text) => !text.includes('\n')), [null], []]) {
    const literal = arrayLiteral(
      values.map((value) => ({ value })),
      'value',
    );
    const sql = `select to_json($literal$${literal}$literal$::text[]) as read`;
    expect(await world.query(sql)).toEqual([{ read: values }]);
  }
  const rows = [1, -9_007_199_254_740_991, null].map((value) => ({ value, flag: value === 1 }));
  const sql = `select to_json('${arrayLiteral(rows, 'value')}'::bigint[]) as numbers, to_json('${arrayLiteral(rows, 'flag')}'::boolean[]) as flags`;
  expect(await world.query(sql)).toEqual([
    { numbers: rows.map(({ value }) => value), flags: rows.map(({ flag }) => flag) },
  ]);
});

describe('the tenant walls', () => {
  const tenantId = newId('tenant');
  const stranger = newId('tenant');
  const values = { text: 'x', bigint: 1, boolean: true } as const;
  const insert = async (em: EntityManager, { name, columns }: ModelTable) => {
    const row = { generation: 9, tenant_id: tenantId, ...columns };
    const marks = Object.keys(row)
      .map(() => '?')
      .join(', ');
    const given = [9, tenantId, ...Object.values(columns).map((type) => values[type])];
    await em.execute(`insert into audit.${name} (${Object.keys(row).join(', ')}) values (${marks})`, given);
  };
  const count = async (em: EntityManager, sql: string) => (await em.execute<unknown[]>(sql)).length > 0;
  const probes: Record<string, (em: EntityManager, table: ModelTable) => Promise<boolean>> = {
    select: async (em, { name }) => await count(em, `select 1 from audit.${name} where generation = 9`),
    insert: async (em, table) => await insert(em, table).then(() => true),
    update: async (em, { name }) =>
      await count(em, `update audit.${name} set generation = 10 where generation = 9 returning 1`),
    delete: async (em, { name }) => await count(em, `delete from audit.${name} where generation = 9 returning 1`),
  };
  const stage = new Error('roll back');

  test('stand round every table of the schema but the named ones, which hold nothing of any tenant', async () => {
    const sql = `select relname as name, relrowsecurity and relforcerowsecurity as walled from pg_class
      where relnamespace = '${auditSchema}'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') order by relname`;
    const expected = [
      ...modelTables.map(({ name }) => ({ name, walled: true })),
      ...sharedTables.map((name) => ({ name, walled: false })),
    ].toSorted((one, other) => (one.name < other.name ? -1 : 1));
    expect(await world.query(sql)).toEqual(expected);
    expect(Object.keys(auditGrants).toSorted()).toEqual(expected.map(({ name }) => name));
  });

  const cells = modelTables.flatMap((table) =>
    Object.keys(probes).flatMap((statement) => [
      { name: table.name, table, statement, who: 'no tenant', as: '', crosses: false },
      { name: table.name, table, statement, who: 'another tenant', as: stranger, crosses: false },
      { name: table.name, table, statement, who: 'the right tenant', as: tenantId, crosses: true },
    ]),
  );
  test.each(cells)('$name: $statement by $who reaches the row: $crosses', async ({ table, statement, as, crosses }) => {
    let reached = false;
    const run = world.within(tenantId, async (em) => {
      if (statement !== 'insert') await insert(em, table);
      await em.execute('select set_config(?, ?, true)', [tenantSetting, as]);
      reached = (await probes[statement]?.(em, table)) ?? false;
      throw stage;
    });
    await run.catch((error: unknown) => {
      if (error !== stage && !String(error).includes('row-level security')) throw error;
    });
    expect(reached).toBe(crosses);
  });
});
