import { readFileSync } from 'node:fs';

import { migrateDatabase, type DatabaseMigration, type TablePrivilege } from '@postern/persistence';
import { startPostgres, type ManagedProcess, type Postgres } from '@postern/servers';

import { writePrivate } from '../data-folder/files.ts';
import type { DataFolder, SecretName } from '../data-folder/paths.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';

const database = 'postern';

/** A schema that an app exports: migrated by the owner, never by the service itself. */
interface AppSchema {
  readonly schema: string;
  readonly migrations: readonly DatabaseMigration[];
  readonly grants: Readonly<Record<string, readonly TablePrivilege[]>>;
}

interface SchemaPlace {
  /** Loaded by its name, as `postern serve` loads it: the command line depends on no app (docs/adr/0002). */
  readonly appPackage: string;
  /** Its exports begin with this: `vaultSchema`, `vaultMigrations`, `vaultGrants`. */
  readonly app: string;
  readonly passwordFile: SecretName;
  readonly urlFile: SecretName;
}

const places: readonly SchemaPlace[] = [
  {
    appPackage: '@postern/app-vault',
    app: 'vault',
    passwordFile: 'database-password',
    urlFile: 'database-url',
  },
  {
    appPackage: '@postern/app-revocation',
    app: 'revocation',
    passwordFile: 'revocation-database-password',
    urlFile: 'revocation-database-url',
  },
  {
    appPackage: '@postern/app-audit',
    app: 'audit',
    passwordFile: 'audit-database-password',
    urlFile: 'audit-database-url',
  },
  {
    appPackage: '@postern/app-notifier',
    app: 'notifier',
    passwordFile: 'notifier-database-password',
    urlFile: 'notifier-database-url',
  },
];

/** Starts PostgreSQL on the data folder, keeps it running, and brings every schema to its newest form. */
export async function startDatabase(
  folder: DataFolder,
  onProblem: (sentence: string) => void,
): Promise<{ kept: KeptProcess }> {
  let server: Postgres | undefined;
  const start = async (): Promise<ManagedProcess> => {
    server = await startPostgres({ dataDir: folder.postgresDir, ...(server && { port: server.port }) });
    return { ...server, pid: server.pid ?? 0 };
  };
  const kept = await keepRunning({ name: 'postgres', start, onProblem });
  try {
    await migrate(folder, server as unknown as Postgres);
  } catch (error) {
    await kept.stop();
    throw error;
  }
  return { kept };
}

async function migrate(folder: DataFolder, server: Postgres): Promise<void> {
  await server.createDatabase(database);
  for (const place of places) await migrateSchema(folder, server, place);
}

async function migrateSchema(
  folder: DataFolder,
  server: Postgres,
  { appPackage, app, passwordFile, urlFile }: SchemaPlace,
): Promise<void> {
  const exported = (await import(appPackage)) as Record<string, unknown>;
  const { schema, migrations, grants } = {
    schema: exported[`${app}Schema`],
    migrations: exported[`${app}Migrations`],
    grants: exported[`${app}Grants`],
  } as AppSchema;
  const serviceRole = `postern_${app}`;
  const servicePassword = readFileSync(folder.secretFile(passwordFile), 'utf8').trim();
  await migrateDatabase({ ownerUrl: server.urlOf(database), schema, migrations, grants, serviceRole, servicePassword });
  const url = new URL(server.urlOf(database));
  url.username = serviceRole;
  url.password = servicePassword;
  writePrivate(folder.secretFile(urlFile), url.href);
}
