import { Migration, Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { PosternError } from '@postern/contracts';

import { identifier } from './identifiers.ts';
import { revealed, type Revealable } from './revealable.ts';
import { scramVerifier } from './scram.ts';
import { connectTimeoutMs } from './database.ts';

/** One step of a schema; never edited once it was released. */
export interface DatabaseMigration {
  readonly name: string;
  /** Statements, run in order in one transaction. */
  readonly sql: readonly string[];
}

export type TablePrivilege = 'select' | 'insert' | 'update' | 'delete';

export interface MigrateOptions {
  /** Of a role that may create schemas and roles; never the service's. */
  readonly ownerUrl: Revealable;
  readonly schema: string;
  readonly migrations: readonly DatabaseMigration[];
  readonly serviceRole: string;
  readonly servicePassword: Revealable;
  /** All that the service may do, table by table. */
  readonly grants: Readonly<Record<string, readonly TablePrivilege[]>>;
}

type Run = (sql: string, params?: readonly unknown[]) => Promise<Record<string, unknown>[]>;

/**
 * Brings a schema to its newest form, as its owner, and gives the service's role exactly what it needs.
 *
 * The service itself never runs this: what may change a table may also take down its wall.
 *
 * @effect May be repeated, and run by several at once: they take turns.
 * @returns the names of the migrations that were run.
 * @throws {PosternError} `config.invalid` when the service's role has rights it must not have.
 */
export async function migrateDatabase(options: MigrateOptions): Promise<string[]> {
  const schema = identifier(options.schema);
  const orm = new MikroORM({
    clientUrl: revealed(options.ownerUrl).trim(),
    entities: [],
    discovery: { warnWhenNoEntities: false },
    debug: false,
    ensureDatabase: false,
    logger: () => undefined,
    pool: { min: 0, max: 2 },
    driverOptions: { connectionTimeoutMillis: connectTimeoutMs, application_name: `postern-migrate-${schema}` },
    extensions: [Migrator],
    migrations: {
      tableName: `${schema}_migrations.migration`,
      migrationsList: options.migrations.map(({ name, sql }) => ({ name, class: migrationOf(sql) })),
      snapshot: false,
      disableForeignKeys: false,
      silent: true,
    },
  });
  try {
    return await orm.em.transactional(async (em) => {
      const run: Run = (sql, params = []) => em.execute(sql, [...params]);
      await run('select pg_advisory_xact_lock(hashtext(?))', [`postern.migrate.${schema}`]);
      await prepareRole(run, options);
      await run(`create schema if not exists ${schema}`);
      const done = await orm.migrator.up({ transaction: em.getTransactionContext() });
      await grant(run, options);
      return done.map(({ name }) => name);
    });
  } finally {
    await orm.close(true);
  }
}

function migrationOf(
  statements: readonly string[],
): new (...args: ConstructorParameters<typeof Migration>) => Migration {
  return class extends Migration {
    override up(): void {
      for (const sql of statements) this.addSql(sql);
    }
  };
}

async function prepareRole(run: Run, { serviceRole, servicePassword }: MigrateOptions): Promise<void> {
  const role = identifier(serviceRole);
  const verifier = scramVerifier(revealed(servicePassword));
  const [known] = await run(
    'select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication as strong from pg_roles where rolname = ?',
    [role],
  );
  if (known?.['strong'] === true) {
    throw new PosternError('config.invalid', `The role ${role} has rights that a service must not have.`);
  }
  const harmless = 'nosuperuser nobypassrls nocreaterole nocreatedb noreplication noinherit';
  await run(
    known
      ? `alter role ${role} login password '${verifier}'`
      : `create role ${role} login ${harmless} password '${verifier}'`,
  );
}

async function grant(run: Run, { schema, serviceRole, grants }: MigrateOptions): Promise<void> {
  const role = identifier(serviceRole);
  const [database] = await run('select quote_ident(current_database()) as name');
  await run(`revoke all on database ${String(database?.['name'])} from public`);
  await run(`grant connect on database ${String(database?.['name'])} to ${role}`);
  await run(`revoke all on schema ${schema} from public`);
  await run(`revoke all on all tables in schema ${schema} from ${role}, public`);
  await run(`grant usage on schema ${schema} to ${role}`);
  for (const [table, privileges] of Object.entries(grants)) {
    await run(`grant ${privileges.join(', ')} on ${schema}.${identifier(table)} to ${role}`);
  }
}
