import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PosternError } from '@postern/contracts';

const run = promisify(execFile);

/** Where root keeps what the `postgres` user must reach, when the wanted place is closed to it. */
const systemDir = '/var/lib/postern';

/** The user that PostgreSQL runs as when this process is root; PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

async function idOf(flag: '-u' | '-g'): Promise<number> {
  const { stdout } = await run('id', [flag, 'postgres']);
  return Number.parseInt(stdout, 10);
}

async function lookUp(): Promise<ServerUser | undefined> {
  try {
    return { uid: await idOf('-u'), gid: await idOf('-g') };
  } catch {
    return undefined;
  }
}

/**
 * The `postgres` user for a process that is root, created when the system has none; undefined otherwise.
 *
 * @throws {PosternError} `servers.start_failed` when root cannot create it.
 * @effect may create the system user and group `postgres`; may be repeated.
 */
export async function postgresUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const found = await lookUp();
  if (found) return found;
  await run('groupadd', ['--system', 'postgres']).catch(() => undefined);
  await run('useradd', ['--system', '--no-create-home', '--gid', 'postgres', 'postgres']).catch(() => undefined);
  const created = await lookUp();
  if (created) return created;
  throw new PosternError(
    'servers.start_failed',
    'PostgreSQL does not run as root, and the user postgres could not be created: run "useradd --system postgres"',
  );
}

function mayTraverse(folder: string, { uid, gid }: ServerUser): boolean {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat) return true;
  const bit = stat.uid === uid ? 0o100 : stat.gid === gid ? 0o010 : 0o001;
  return (stat.mode & bit) !== 0;
}

/** The outermost folder above `path` that this user may not pass through, if there is one. */
export function closedFolder(path: string, user: ServerUser): string | undefined {
  const parents: string[] = [];
  for (let at = dirname(resolve(path)); ; at = dirname(at)) {
    parents.unshift(at);
    if (at === dirname(at)) break;
  }
  return parents.find((folder) => !mayTraverse(folder, user));
}

/** A place outside everybody's home that belongs to one wanted path, and to no other. */
export function systemPlaceFor(path: string): string {
  const name = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 16);
  return join(systemDir, name);
}

/**
 * The wanted data folder, or one under /var/lib/postern when this process is root and the `postgres` user could
 * not reach the wanted one (a home folder of mode 0700 stands above it). The same wish gives the same answer.
 *
 * @effect /var/lib/postern is there and may be passed by everybody, whatever is made in it first.
 */
export async function reachableDataDir(wanted: string): Promise<string> {
  const user = await postgresUser();
  if (user === undefined || closedFolder(wanted, user) === undefined) return resolve(wanted);
  openSystemDir();
  return systemPlaceFor(wanted);
}

/** Makes /var/lib/postern a folder that everybody may pass; what is in it has modes of its own. May be repeated. */
export function openSystemDir(): void {
  mkdirSync(systemDir, { recursive: true });
  chmodSync(systemDir, 0o755);
}

/**
 * A new temporary folder whose servers other users can pass through but not list (mode 0711).
 *
 * @effect creates a folder; the caller removes it.
 */
export function temporaryDataDir(prefix = 'postern-'): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  chmodSync(folder, 0o711);
  return folder;
}

/** Creates a folder that only its owner may enter. */
export function privateDir(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}
