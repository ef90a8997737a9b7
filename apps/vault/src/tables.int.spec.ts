import { rmSync } from 'node:fs';

import { MikroORM, type EntityManager } from '@mikro-orm/postgresql';
import { newId } from '@postern/contracts';
import { migrateDatabase, tenantSetting } from '@postern/persistence';
import { startPostgres, temporaryDataDir, type Postgres } from '@postern/servers';

import { vaultMigrations } from './migrations.ts';
import { vaultGrants, vaultSchema, vaultTables } from './tables.ts';

const [right, other] = [newId('tenant'), newId('tenant')];
const now = new Date().toISOString();
const bytes = '\\x01';
let versions = 0;

/** One row of each table, of one tenant, and what an update would change. A new table needs its line here. */
const rows: Readonly<Record<string, { row: (tenantId: string) => Record<string, unknown>; change: string }>> = {
  data_key: {
    row: (tenantId) => ({ tenant_id: tenantId, owner_id: newId('connection'), wrapped_key: 'w', created_at: now }),
    change: "wrapped_key = wrapped_key || 'x'",
  },
  credential: {
    row: (tenantId) => ({
      tenant_id: tenantId,
      connection_id: newId('connection'),
      version: 1,
      bought_by: newId('claim'),
      credential_id: newId('credential'),
      access_ciphertext: bytes,
      created_at: now,
    }),
    change: "bought_by = bought_by || 'x'",
  },
  pending_credential: {
    row: (tenantId) => ({
      tenant_id: tenantId,
      connection_id: newId('connection'),
      session_id: newId('session'),
      credential_id: newId('credential'),
      ciphertext: bytes,
      expires_at: now,
    }),
    change: "session_id = session_id || 'x'",
  },
  owned_secret: {
    row: (tenantId) => ({
      tenant_id: tenantId,
      owner_id: newId('registration'),
      kind: 'client_secret',
      version: 1,
      ciphertext: bytes,
      created_at: now,
    }),
    change: "owner_id = owner_id || 'x'",
  },
  key_retirement: {
    row: (tenantId) => ({ tenant_id: tenantId, before_version: (versions += 1), began_at: now }),
    change: 'gone_at = now()',
  },
};

const folder = temporaryDataDir('postern-tables-');
const passwords = { vault_tables: 'the-password-of-the-service', wall_prober: 'the-password-of-the-prober' };
let postgres: Postgres;
let owner: MikroORM;
/** May do everything to every table, so that what stops it is row security and not a missing grant. */
let prober: MikroORM;
let service: MikroORM;

const connectAs = (url: string) =>
  new MikroORM({ clientUrl: url, entities: [], discovery: { warnWhenNoEntities: false } });
const urlAs = (role: keyof typeof passwords) =>
  Object.assign(new URL(postgres.urlOf('tables')), { username: role, password: passwords[role] }).href;

beforeAll(async () => {
  postgres = await startPostgres({ dataDir: `${folder}/postgres` });
  await postgres.createDatabase('tables');
  const all = ['select', 'insert', 'update', 'delete'] as const;
  const place = { ownerUrl: postgres.urlOf('tables'), schema: vaultSchema, migrations: vaultMigrations };
  const allGrants = Object.fromEntries(Object.keys(vaultGrants).map((table) => [table, all]));
  const roles = [
    ['vault_tables', vaultGrants],
    ['wall_prober', allGrants],
  ] as const;
  for (const [serviceRole, grants] of roles) {
    await migrateDatabase({ ...place, serviceRole, servicePassword: passwords[serviceRole], grants });
  }
  owner = connectAs(place.ownerUrl);
  prober = connectAs(urlAs('wall_prober'));
  service = connectAs(urlAs('vault_tables'));
}, 120_000);

afterAll(async () => {
  for (const orm of [owner, prober, service]) await orm?.close(true);
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function within<T>(orm: MikroORM, tenantId: string | undefined, work: (em: EntityManager) => Promise<T>) {
  return await (orm.em.fork() as EntityManager).transactional(async (em) => {
    if (tenantId !== undefined) await em.execute('select set_config(?, ?, true)', [tenantSetting, tenantId]);
    return await work(em);
  });
}

async function insert(em: EntityManager, table: string, row: Record<string, unknown>): Promise<void> {
  const columns = Object.keys(row);
  const marks = columns.map(() => '?').join(', ');
  await em.execute(`insert into vault.${table} (${columns.join(', ')}) values (${marks})`, Object.values(row));
}

async function affected(em: EntityManager, sql: string): Promise<number> {
  const { affectedRows } = await em.execute<{ affectedRows: number }>(sql, [], 'run');
  return affectedRows;
}

/** Does the statement reach the right tenant's row? */
const probes: Record<string, (em: EntityManager, table: string) => Promise<boolean>> = {
  select: async (em, table) => (await em.execute(`select * from vault.${table}`)).length > 0,
  insert: async (em, table) => insert(em, table, rows[table]?.row(right) ?? {}).then(() => true),
  update: async (em, table) => {
    return (await affected(em, `update vault.${table} set ${rows[table]?.change ?? ''}`)) > 0;
  },
  delete: async (em, table) => (await affected(em, `delete from vault.${table}`)) > 0,
};

const stage = new Error('roll back');

/** Runs one probe beside a row of the right tenant, and takes everything back. */
async function reaches(statement: string, table: string, tenantId: string | undefined): Promise<boolean> {
  let reached = false;
  const run = within(prober, right, async (em) => {
    await insert(em, table, rows[table]?.row(right) ?? {});
    await em.execute('select set_config(?, ?, true)', [tenantSetting, tenantId ?? '']);
    reached = (await probes[statement]?.(em, table)) ?? false;
    throw stage;
  });
  await run.catch((error: unknown) => {
    if (error !== stage && !String(error).includes('row-level security')) throw error;
  });
  return reached;
}

test('a client secret of the first schema stands as one kind of many in the newest', async () => {
  const place = { ownerUrl: postgres.urlOf('upgraded'), schema: vaultSchema, serviceRole: 'vault_upgraded' };
  const step = (migrations: typeof vaultMigrations, grants: typeof vaultGrants) =>
    migrateDatabase({ ...place, migrations, grants, servicePassword: passwords.vault_tables });
  await postgres.createDatabase('upgraded');
  await step(vaultMigrations.slice(0, 1), {});
  const upgraded = connectAs(place.ownerUrl);
  try {
    const registrationId = newId('registration');
    await insert(upgraded.em.fork() as EntityManager, 'client_secret', {
      tenant_id: right,
      registration_id: registrationId,
      version: 1,
      ciphertext: bytes,
      created_at: now,
    });
    await step(vaultMigrations, vaultGrants);
    const sql = 'select owner_id, kind, version, ciphertext from vault.owned_secret';
    expect(await upgraded.em.getConnection().execute(sql)).toEqual([
      { owner_id: registrationId, kind: 'client_secret', version: 1, ciphertext: Buffer.from([1]) },
    ]);
  } finally {
    await upgraded.close(true);
  }
});

describe('the tenant walls', () => {
  test('stand round every table of the schema, and every table has its line in this matrix', async () => {
    const sql = `select relname as name, relrowsecurity and relforcerowsecurity as walled from pg_class
      where relnamespace = '${vaultSchema}'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') order by relname`;
    const found = await owner.em.getConnection().execute<{ name: string; walled: boolean }[]>(sql);
    expect(found).toEqual(
      Object.keys(rows)
        .toSorted()
        .map((name) => ({ name, walled: true })),
    );
    expect(vaultTables.map(({ meta }) => meta.tableName).toSorted()).toEqual(Object.keys(rows).toSorted());
    expect(Object.keys(vaultGrants).toSorted()).toEqual(Object.keys(rows).toSorted());
  });

  const cells = Object.keys(rows).flatMap((table) =>
    Object.keys(probes).flatMap((statement) => [
      { table, statement, who: 'no tenant', tenantId: undefined, crosses: false },
      { table, statement, who: 'another tenant', tenantId: other, crosses: false },
      { table, statement, who: 'the right tenant', tenantId: right, crosses: true },
    ]),
  );

  test.each(cells)('$table: $statement by $who reaches the row: $crosses', async (cell) => {
    expect(await reaches(cell.statement, cell.table, cell.tenantId)).toBe(cell.crosses);
  });

  test('do not let a row be moved to another tenant', async () => {
    for (const table of Object.keys(rows)) {
      const moved = within(prober, right, async (em) => {
        await insert(em, table, rows[table]?.row(right) ?? {});
        await em.execute(`update vault.${table} set tenant_id = ?`, [other]);
      });
      await expect(moved).rejects.toThrow('row-level security');
    }
  });

  test('have the service in front of them: its role owns nothing, steps over nothing, makes nothing', async () => {
    const flags = `select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication as strong,
        exists (select from pg_class where relowner = r.oid) as owns,
        exists (select from pg_auth_members where member = r.oid) as member
      from pg_roles r where rolname = 'vault_tables'`;
    expect(await owner.em.getConnection().execute(flags)).toEqual([{ strong: false, owns: false, member: false }]);
    for (const sql of [
      'create table vault.other (a int)',
      'alter table vault.credential no force row level security',
      'drop policy tenant_wall on vault.credential',
      'select * from vault_migrations.migration',
      `set role ${new URL(postgres.urlOf('tables')).username}`,
    ]) {
      await expect(within(service, right, (em) => em.execute(sql))).rejects.toThrow(/permission denied|must be owner/);
    }
  });

  test('leave the service no statement beside its grants', async () => {
    for (const [table, grants] of Object.entries(vaultGrants)) {
      for (const [statement, probe] of Object.entries(probes)) {
        const granted = grants.some((one) => one === statement);
        const run = within(service, right, (em) => probe(em, table)).then(
          () => true,
          (error: unknown) => !String(error).includes('permission denied'),
        );
        expect({ table, statement, granted: await run }).toEqual({ table, statement, granted });
      }
    }
  });
});
