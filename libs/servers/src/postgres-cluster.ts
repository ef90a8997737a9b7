import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PosternError } from '@postern/contracts';
import { closedFolder, privateDir } from './data-dir.ts';
import type { ServerUser } from './data-dir.ts';

const run = promisify(execFile);
const passwordBytes = 24;

/** The folders and files of one PostgreSQL data folder. */
export interface ClusterPlaces {
  readonly dataDir: string;
  readonly clusterDir: string;
  readonly passwordPath: string;
}

/** Where things stand below a data folder. */
export function clusterPlaces(dataDir: string): ClusterPlaces {
  return { dataDir, clusterDir: join(dataDir, 'cluster'), passwordPath: join(dataDir, 'password') };
}

/**
 * Makes the data folder one that the server's user can enter, and nobody else.
 *
 * @throws {PosternError} `servers.start_failed` naming the folder that stands in the way.
 */
export function prepareDataDir(dataDir: string, user: ServerUser | undefined): void {
  const closed = user && closedFolder(dataDir, user);
  if (closed !== undefined) {
    const why = `PostgreSQL runs as the user postgres, who may not pass through ${closed}`;
    const mend = `choose a data folder elsewhere, or run "chmod o+x ${closed}"`;
    throw new PosternError('servers.start_failed', `${why} to reach ${dataDir}: ${mend}`);
  }
  privateDir(dataDir);
  if (user) chownSync(dataDir, user.uid, user.gid);
}

function writePassword({ passwordPath }: ClusterPlaces, user: ServerUser | undefined): void {
  rmSync(passwordPath, { force: true });
  writeFileSync(passwordPath, `${randomBytes(passwordBytes).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' });
  if (user) chownSync(passwordPath, user.uid, user.gid);
}

/** The superuser's generated password. */
export function readPassword({ passwordPath }: ClusterPlaces): string {
  return readFileSync(passwordPath, 'utf8').trim();
}

/**
 * Creates the database cluster unless it exists: SCRAM for everybody, UTF-8, a locale that is the same everywhere.
 *
 * It is made beside its place and moved there whole, so that an interrupted creation leaves nothing half done.
 *
 * @throws {PosternError} `servers.start_failed` with initdb's words.
 */
export async function createCluster(places: ClusterPlaces, home: string, user: ServerUser | undefined): Promise<void> {
  const { dataDir, clusterDir, passwordPath } = places;
  if (existsSync(clusterDir)) return;
  const fresh = `${clusterDir}.new`;
  rmSync(fresh, { recursive: true, force: true });
  writePassword(places, user);
  const args = ['--username=postgres', '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C'];
  try {
    await run(
      join(home, 'bin', 'initdb'),
      [
        `--pgdata=${fresh}`,
        `--pwfile=${passwordPath}`,
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        ...args,
      ],
      { cwd: dataDir, env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' }, ...user },
    );
  } catch (error) {
    const words = String((error as { stderr?: string }).stderr ?? error).trim();
    throw new PosternError('servers.start_failed', `initdb failed in ${dataDir}: ${words}`, { cause: error });
  }
  renameSync(fresh, clusterDir);
}
