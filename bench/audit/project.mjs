/**
 * Projecting CONNECTIONS into each read model, against inserting the very rows that this writes: as many a statement, a
 * transaction each, by a bare client into a table of the same columns, keyed and without a wall.
 */
import { auditGrants, auditMigrations, auditSchema } from '@postern/app-audit';
import { AccessReader, CommitReader, commitVerifier } from '@postern/event-log';
import { JetStreamEventLog } from '@postern/nats';
import { migrateDatabase, openDatabase } from '@postern/persistence';
import pg from 'pg';

import { beginGeneration } from '../../apps/audit/dist/models/checkpoints.js';
import { connectionsModel } from '../../apps/audit/dist/models/connections-model.js';
import { healthModel } from '../../apps/audit/dist/models/health-model.js';
import { notificationsModel } from '../../apps/audit/dist/models/notifications-model.js';
import { Projector } from '../../apps/audit/dist/models/projector.js';
import { auditEntities, modelTables, sharedTables } from '../../apps/audit/dist/models/tables.js';
import { median, round } from '../median.mjs';
import { unchecked } from './replay.mjs';

const models = [connectionsModel, healthModel, notificationsModel];
const servicePassword = 'the-password-of-audit-in-benchmarks';

export async function benchProject(world, { baseline, result, ratios }, tell) {
  const { bus, postgres, trust, rounds, tenantId } = world;
  await postgres.createDatabase('bench');
  const ownerUrl = postgres.urlOf('bench');
  const place = { schema: auditSchema, migrations: auditMigrations, grants: auditGrants };
  await migrateDatabase({ ownerUrl, ...place, serviceRole: 'audit_bench', servicePassword });
  const url = Object.assign(new URL(ownerUrl), { username: 'audit_bench', password: servicePassword }).href;
  const opened = { url, entities: auditEntities, schema: auditSchema, sharedTables, poolMax: 4 };
  const database = openDatabase({ ...opened, unavailableCode: 'audit.database_unavailable' });
  const bare = new pg.Client({ connectionString: ownerUrl });
  await bare.connect();
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const sums = { rows: 0, bareMs: 0, oursMs: 0, signedMs: 0 };
  try {
    for (const model of models) {
      const project = async (verifier, onPut) => {
        await emptied(database, tenantId, model);
        const seen = onPut === undefined ? database : watched(database, onPut);
        const accessReader = new AccessReader({ verifier });
        const reader = new CommitReader({ verifier });
        const projector = new Projector({ model, database: seen, log, reader, accessReader });
        const since = performance.now();
        await projector.catchUp('live');
        return performance.now() - since;
      };
      const puts = [];
      await project(unchecked, (put) => puts.push(put));
      const rows = puts.reduce((sum, { values }) => sum + values[2].length, 0);
      const times = { bare: [], ours: [], signed: [] };
      for (let turn = 0; turn < rounds; turn += 1) {
        times.bare.push(await inserted(bare, model, puts));
        times.ours.push(await project(unchecked));
        times.signed.push(await project(commitVerifier(trust, { rememberedMax: 1_000 })));
      }
      const [bareMs, oursMs, signedMs] = [median(times.bare), median(times.ours), median(times.signed)];
      tell(`${model.name}: ${rows} rows`);
      baseline[`insert_${model.name}_rows_per_s`] = round((rows * 1_000) / bareMs, 0);
      result[`project_${model.name}_rows_per_s`] = round((rows * 1_000) / oursMs, 0);
      ratios[`project_${model.name}`] = round(bareMs / oursMs);
      sums.rows += rows;
      sums.bareMs += bareMs;
      sums.oursMs += oursMs;
      sums.signedMs += signedMs;
    }
  } finally {
    await bare.end();
    await database.close();
  }
  world.projectMs = sums.oursMs;
  result.project_rows = sums.rows;
  ratios.project = round(sums.bareMs / sums.oursMs);
  ratios.project_with_signatures = round(sums.bareMs / sums.signedMs);
}

async function emptied(database, tenantId, { name, tables }) {
  await database.acrossTenants(async (transaction) => {
    await transaction.run({ name: 'emptied', text: `delete from audit.projection where model = $1`, values: [name] });
    const queries = tables.map((table) => ({
      name: `emptied_${table.name}`,
      text: `delete from audit.${table.name}`,
      values: [],
    }));
    await transaction.inTenant(tenantId, queries);
    await beginGeneration(transaction, { model: name, role: 'live', nowMs: 0 });
  });
}

/** The same database, and who looks sees each put. */
function watched(database, onPut) {
  const look = ({ run, inTenant }) => ({
    run,
    inTenant: (tenantId, queries) => {
      queries.filter(({ name }) => name.endsWith('_put')).forEach(onPut);
      return inTenant(tenantId, queries);
    },
  });
  return { acrossTenants: (work) => database.acrossTenants((transaction) => work(look(transaction))) };
}

async function inserted(bare, { tables }, puts) {
  for (const { name } of tables) {
    await bare.query(`drop table if exists bare_${name}`);
    const { columns } = modelTables.find((one) => one.name === name);
    const lines = Object.entries(columns).map(([column, type]) => `${column} ${type}`);
    const key = Object.hasOwn(columns, 'revision') ? 'connection_id, revision' : 'notification_id';
    await bare.query(
      `create table bare_${name} (generation integer, tenant_id text, ${lines.join(', ')}, primary key (${key}))`,
    );
  }
  const since = performance.now();
  for (const { name, values } of puts) {
    const table = name.slice(0, -'_put'.length);
    const { columns } = modelTables.find((one) => one.name === table);
    const lists = Object.values(columns).map((type, index) => `$${index + 3}::${type}[]`);
    const text = `insert into bare_${table} select $1::integer, $2::text, * from unnest(${lists.join(', ')})`;
    await bare.query({ name: `bare_${table}`, text, values });
  }
  return performance.now() - since;
}
