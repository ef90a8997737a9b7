import { readFileSync } from 'node:fs';

import { migrateDatabase, type MigrateOptions } from '@postern/persistence';
import { startPostgres, type ManagedProcess, type Postgres } from '@postern/servers';

import { writePrivate } from '../data-folder/files.ts';
import type { DataFolder } from '../data-folder/paths.ts';
import { keepRunning, type KeptProcess } from './keep-running.ts';

const database = 'postern';

/** What an app with tables exports: its schema, to be migrated by the owner and never by the service itself. */
export type DatabaseSchema = Omit<MigrateOptions, 'ownerUrl' | 'servicePassword'>;

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
  await migrate(folder, server as unknown as Postgres);
  return { kept };
}

async function migrate(folder: DataFolder, server: Postgres): Promise<void> {
  // Loaded by its name, as `postern serve vault` is: the command line depends on no app (docs/adr/0002).
  const { databaseSchema } = (await import('@postern/app-vault')) as { databaseSchema: DatabaseSchema };
  await server.createDatabase(database);
  const servicePassword = readFileSync(folder.secretFile('database-password'), 'utf8').trim();
  await migrateDatabase({ ...databaseSchema, ownerUrl: server.urlOf(database), servicePassword });
  const url = new URL(server.urlOf(database));
  url.username = databaseSchema.serviceRole;
  url.password = servicePassword;
  writePrivate(folder.secretFile('database-url'), url.href);
}
