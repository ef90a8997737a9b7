/**
 * Projecting CONNECTIONS into its read models, all of them together as `audit` keeps them, against inserting the very rows
 * that this writes: as many a statement, as many statements a transaction, by a bare client into tables of the same columns,
 * keyed and without a wall.
 */
import { auditGrants, auditMigrations, auditSchema } from '@postern/app-audit';
import { AccessReader, CommitReader, commitVerifier, readTogether } from '@postern/event-log';
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

/** Tables of their own, and what projects into them: all models together, from the log's start. */
export async function openProjecting({ postgres, tenantId }, databaseName, log) {
  await postgres.createDatabase(databaseName);
  const ownerUrl = postgres.urlOf(databaseName);
  const place = { schema: auditSchema, migrations: auditMigrations, grants: auditGrants };
  await migrateDatabase({ ownerUrl, ...place, serviceRole: 'audit_bench', servicePassword });
  const url = Object.assign(new URL(ownerUrl), { username: 'audit_bench', password: servicePassword }).href;
  const opened = { url, entities: auditEntities, schema: auditSchema, sharedTables, poolMax: 4 };
  const database = openDatabase({ ...opened, unavailableCode: 'audit.database_unavailable' });
  const project = async (verifier, { onTransaction, beside = async () => undefined } = {}) => {
    const seen = onTransaction === undefined ? database : watched(database, onTransaction);
    const common = { log, reader: new CommitReader({ verifier }), accessReader: new AccessReader({ verifier }) };
    const projector = new Projector({ stream: 'connections', database: seen, keptMs: 0, ...common });
    const standings = [];
    for (const model of models) {
      await emptied(database, tenantId, model);
      standings.push(await projector.standing(model, 'live'));
    }
    const since = performance.now();
    const [{ failed }] = await Promise.all([projector.walk(standings), beside()]);
    if (failed.length > 0) throw failed[0].error;
    return performance.now() - since;
  };
  return { ownerUrl, project, close: () => database.close() };
}

export async function benchProject(world, { baseline, result, ratios }, tell) {
  const { bus, trust, rounds, commits } = world;
  const log = readTogether(new JetStreamEventLog({ bus, stream: 'connections' }));
  const { ownerUrl, project, close } = await openProjecting(world, 'bench_project', log);
  const bare = new pg.Client({ connectionString: ownerUrl });
  await bare.connect();
  try {
    const transactions = [];
    await project(unchecked, { onTransaction: (puts) => transactions.push(puts) });
    const { rows } = await inserted(bare, transactions);
    tell(`${rows} rows`);
    const times = { bare: [], ours: [], signed: [] };
    for (let turn = 0; turn < rounds; turn += 1) {
      times.bare.push((await inserted(bare, transactions)).ms);
      times.ours.push(await project(unchecked));
      times.signed.push(await project(commitVerifier(trust, { rememberedMax: 1_000 })));
    }
    const [bareMs, oursMs, signedMs] = [median(times.bare), median(times.ours), median(times.signed)];
    baseline.insert_rows_per_s = round((rows * 1_000) / bareMs, 0);
    result.project_rows = rows;
    result.project_rows_per_s = round((rows * 1_000) / oursMs, 0);
    result.project_commits_per_s = round((commits * 1_000) / oursMs, 0);
    ratios.project = round(bareMs / oursMs);
    ratios.project_with_signatures = round(bareMs / signedMs);
  } finally {
    await bare.end();
    await close();
  }
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

/** The same database, and who looks sees the puts of each transaction. */
function watched(database, onTransaction) {
  return {
    acrossTenants: async (work) => {
      const puts = [];
      const look = ({ run, inTenant }) => ({
        run,
        inTenant: (tenantId, queries) => {
          puts.push(...queries.filter(({ name }) => name.endsWith('_put')));
          return inTenant(tenantId, queries);
        },
      });
      const done = await database.acrossTenants((transaction) => work(look(transaction)));
      if (puts.length > 0) onTransaction(puts);
      return done;
    },
  };
}

async function inserted(bare, transactions) {
  for (const { name, columns } of models.flatMap(({ tables }) => tables)) {
    await bare.query(`drop table if exists bare_${name}`);
    const lines = Object.entries(columns).map(([column, type]) => `${column} ${type}`);
    const key = Object.hasOwn(columns, 'revision') ? 'connection_id, revision' : 'notification_id';
    await bare.query(
      `create table bare_${name} (generation integer, tenant_id text, ${lines.join(', ')}, primary key (${key}))`,
    );
  }
  const since = performance.now();
  let rows = 0;
  for (const puts of transactions) {
    await bare.query('begin');
    for (const { name, values } of puts) {
      const table = name.slice(0, -'_put'.length);
      const { columns } = modelTables.find((one) => one.name === table);
      const lists = Object.values(columns).map((type, index) => `$${index + 3}::${type}[]`);
      const text = `insert into bare_${table} select $1::integer, $2::text, * from unnest(${lists.join(', ')})`;
      rows += (await bare.query({ name: `bare_${table}`, text, values })).rowCount;
    }
    await bare.query('commit');
  }
  return { ms: performance.now() - since, rows };
}
