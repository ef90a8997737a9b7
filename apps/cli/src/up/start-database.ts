import { readFileSync } from 'node:fs';

import { migrateDatabase, type DatabaseMigration, type TablePrivilege } from '@postern/persistence';
import { startPostgres, type ManagedProcess, type Postgres } from '@postern/servers';

import { writePrivate } from '../data-folder/files.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';

const database = 'postern';

const serviceRole = 'postern_vault';
/** Loaded by its name, as `postern serve vault` is: the command line depends on no app (docs/adr/0002). */
const vaultPackage: string = '@postern/app-vault';

/** What the vault exports of its schema: migrated by the owner, never by the service itself. */
interface VaultSchema {
  readonly vaultSchema: string;
  readonly vaultMigrations: readonly DatabaseMigration[];
  readonly vaultGrants: Readonly<Record<string, readonly TablePrivilege[]>>;
}

/** Starts PostgreSQL on the data folder, keeps it running, and brings the vault's schema to its newest form. */
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
  const {
    vaultSchema: schema,
    vaultMigrations: migrations,
    vaultGrants: grants,
  } = (await import(vaultPackage)) as VaultSchema;
  await server.createDatabase(database);
  const servicePassword = readFileSync(folder.secretFile('database-password'), 'utf8').trim();
  await migrateDatabase({ ownerUrl: server.urlOf(database), schema, migrations, grants, serviceRole, servicePassword });
  const url = new URL(server.urlOf(database));
  url.username = serviceRole;
  url.password = servicePassword;
  writePrivate(folder.secretFile('database-url'), url.href);
}
