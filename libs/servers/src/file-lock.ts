import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { identityOf, isProcessAlive } from './process-identity.ts';
import type { ProcessIdentity } from './process-identity.ts';

const pollMs = 50;

/** A lock that is held. `handTo` names another process as its owner: the lock then lives as long as that one. */
export interface FileLock {
  readonly path: string;
  handTo(pid: number): void;
  release(): void;
}

export interface LockOptions {
  readonly path: string;
  /** How long to wait for a living owner, in milliseconds. */
  readonly waitMsMax: number;
  /** Called once when somebody else holds the lock. */
  readonly onWait?: (ownerPid: number) => void;
}

function readOwner(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function sibling(path: string, owner: ProcessIdentity): string {
  const name = `${path}.${randomUUID()}`;
  writeFileSync(name, JSON.stringify(owner), { mode: 0o600 });
  return name;
}

/** A link appears at once with its whole content, or not at all because the name is taken. */
function tryTake(path: string): boolean {
  const mine = sibling(path, identityOf(process.pid));
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Removes a dead owner's lock; what was moved away by mistake, because another was quicker, is put back. */
function clearStale(path: string, dead: ProcessIdentity): void {
  const moved = `${path}.${randomUUID()}`;
  try {
    renameSync(path, moved);
  } catch {
    return;
  }
  const found = readOwner(moved);
  try {
    if (found && (found.pid !== dead.pid || found.started !== dead.started)) linkSync(moved, path);
  } finally {
    rmSync(moved, { force: true });
  }
}

function held(path: string): FileLock {
  return {
    path,
    handTo: (pid) => renameSync(sibling(path, identityOf(pid)), path),
    release: () => rmSync(path, { force: true }),
  };
}

/**
 * Takes a lock that a dead owner never keeps: the file names its owner, and an owner that has ended does not count.
 *
 * @returns undefined when a living owner still holds it after `waitMsMax`.
 * @effect creates the folder of the lock and, while held, the file.
 */
export async function takeLock({ path, waitMsMax, onWait }: LockOptions): Promise<FileLock | undefined> {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = performance.now() + waitMsMax;
  let told = false;
  for (;;) {
    if (tryTake(path)) return held(path);
    const owner = readOwner(path);
    if (owner && !isProcessAlive(owner)) {
      clearStale(path, owner);
      continue;
    }
    if (performance.now() >= deadline) return undefined;
    if (owner && !told) {
      told = true;
      onWait?.(owner.pid);
    }
    await delay(pollMs);
  }
}
