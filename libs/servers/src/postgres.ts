import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PosternError } from '@postern/contracts';
import type { ManagedProcess } from './child-process.ts';
import { postgresUser } from './data-dir.ts';
import type { ServerUser } from './data-dir.ts';
import { freePort } from './free-port.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { clusterPlaces, createCluster, prepareDataDir, readPassword } from './postgres-cluster.ts';
import type { ClusterPlaces } from './postgres-cluster.ts';
import { startPostgresContainer } from './postgres-container.ts';
import { postgresAccess } from './postgres-database.ts';
import type { PostgresAccess } from './postgres-database.ts';
import { startServer } from './server-process.ts';
import type { ServerStart } from './server-process.ts';

const name = 'postgres';

export interface PostgresOptions {
  /** The server's own folder: cluster, password, log. Created when absent. */
  readonly dataDir: string;
  /** A free one when absent. */
  readonly port?: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** Where a PostgreSQL came from. */
export type PostgresSource = 'env' | 'embedded' | 'docker';

/** A running PostgreSQL. */
export interface Postgres extends Omit<ManagedProcess, 'pid'>, PostgresAccess {
  readonly source: PostgresSource;
  /** The postmaster; undefined for a server that is not a process of ours. */
  readonly pid: number | undefined;
}

/** The eighth line of postmaster.pid says what the server is doing; the first, whose file it is. */
function isReady(clusterDir: string, pid: number): boolean {
  try {
    const lines = readFileSync(join(clusterDir, 'postmaster.pid'), 'utf8').split('\n');
    return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}

interface Plan {
  readonly places: ClusterPlaces;
  readonly binaries: PostgresBinaries;
  readonly user: ServerUser | undefined;
  readonly port: number;
}

function plan({ places, binaries, user, port }: Plan): ServerStart {
  const { clusterDir, dataDir } = places;
  return {
    name,
    command: join(binaries.home, 'bin', 'postgres'),
    args: ['-D', clusterDir, '-p', String(port), '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories='],
    cwd: dataDir,
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
    logPath: join(dataDir, 'postgres.log'),
    // SIGINT is PostgreSQL's fast shutdown: it ends sessions and leaves a clean cluster.
    stopSignal: 'SIGINT',
    isReady: (pid) => Promise.resolve(isReady(clusterDir, pid)),
    removeAtEnd: () => [join(clusterDir, 'postmaster.pid')],
    ...user,
  };
}

/** A server that somebody else runs: it is neither stopped nor killed here. */
function external(url: string): Postgres {
  return {
    name,
    source: 'env',
    ...postgresAccess(url),
    pid: undefined,
    exited: new Promise(() => undefined),
    stop: () => Promise.resolve(),
    kill: () => Promise.reject(new PosternError('servers.start_failed', 'POSTERN_POSTGRES_URL is not ours to kill')),
  };
}

async function startEmbedded(options: PostgresOptions, found: Omit<Plan, 'places' | 'port'>): Promise<Postgres> {
  const dataDir = resolve(options.dataDir);
  const { binaries, user } = found;
  const places = clusterPlaces(dataDir);
  prepareDataDir(dataDir, user);
  let port = 0;
  const child = await startServer({
    name,
    dataDir,
    fixedPorts: options.port !== undefined,
    prepare: () => createCluster(places, binaries.home, user),
    plan: async () => {
      port = options.port ?? (await freePort());
      return plan({ places, ...found, port });
    },
  });
  const url = `postgres://postgres:${readPassword(places)}@127.0.0.1:${port}/postgres`;
  return { ...child, source: 'embedded', ...postgresAccess(url) };
}

/**
 * Starts PostgreSQL on its own data folder, on 127.0.0.1 only, and waits until it accepts connections.
 *
 * `POSTERN_POSTGRES_URL` names a server to use instead; where npm has no PostgreSQL for the platform, a Docker
 * engine is the last resort. The superuser's password is generated and kept in `dataDir`, mode 0600. With the same
 * `dataDir` and `port` it starts again on the same data, also after SIGKILL.
 *
 * @throws {PosternError} `servers.start_failed`, naming the folder that the `postgres` user cannot pass when this
 * process is root; `servers.not_found` on a platform without either.
 * @effect a process under the watchdog; files in `dataDir`, which root gives to the user `postgres`.
 */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const url = (options.env ?? process.env)['POSTERN_POSTGRES_URL'];
  if (url) return external(url);
  const user = await postgresUser();
  const binaries = await postgresBinaries(user);
  return binaries ? startEmbedded(options, { binaries, user }) : startPostgresContainer(options);
}
