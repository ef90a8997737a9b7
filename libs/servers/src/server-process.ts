import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { PosternError } from '@postern/contracts';
import { childProcess } from './child-process.ts';
import type { ChildProcessOptions, ManagedProcess } from './child-process.ts';
import { takeLock } from './file-lock.ts';
import type { FileLock } from './file-lock.ts';

const readyPollMs = 20;
const logTailLines = 12;
/** A server whose parent was killed is given this long by the watchdog to leave; so long a successor waits. */
const predecessorMsMax = 15_000;
const startTimeoutMsDefault = 60_000;

/** How one server is started and how it is known to be ready. */
export interface ServerStart extends Omit<ChildProcessOptions, 'onLine' | 'logPath'> {
  readonly logPath: string;
  /** Is this very process ready? Asked until it says so. */
  readonly isReady: (pid: number) => Promise<boolean>;
  readonly startTimeoutMs?: number;
}

/** The server could not start now, for a reason that may be over at the next attempt. */
class StartRefused extends Error {
  readonly reason: 'port_taken' | 'predecessor';
  readonly log: string;

  constructor(reason: 'port_taken' | 'predecessor', log: string) {
    super(reason);
    this.reason = reason;
    this.log = log;
  }
}

/** A port may have been taken since it was chosen; PostgreSQL's sessions outlive a killed postmaster by a moment. */
function refusalIn(log: string): StartRefused | undefined {
  if (/address already in use/i.test(log)) return new StartRefused('port_taken', log);
  return /pre-existing shared memory block/i.test(log) ? new StartRefused('predecessor', log) : undefined;
}

function logSince(path: string, offset: number): string {
  return existsSync(path) ? readFileSync(path).subarray(offset).toString('utf8') : '';
}

function failure(start: ServerStart, reason: string, log: string): PosternError {
  const tail = log.trim().split('\n').slice(-logTailLines).join('\n');
  return new PosternError('servers.start_failed', `${start.name} ${reason}. Log: ${start.logPath}\n${tail}`);
}

async function untilReady(start: ServerStart, child: ManagedProcess, logOffset: number): Promise<void> {
  const deadline = performance.now() + (start.startTimeoutMs ?? startTimeoutMsDefault);
  let ended = false;
  void child.exited.then(() => (ended = true));
  for (;;) {
    // An answer counts only while the process lives: another program may be answering on its port.
    const ready = await start.isReady(child.pid);
    if (ready && !ended) return;
    if (!ended && performance.now() < deadline) {
      await delay(readyPollMs);
      continue;
    }
    const log = logSince(start.logPath, logOffset);
    const refusal = ended ? refusalIn(log) : undefined;
    if (refusal) throw refusal;
    throw failure(start, ended ? 'ended before it was ready' : 'was not ready in time', log);
  }
}

async function startOnce(start: ServerStart, lock: FileLock): Promise<ManagedProcess> {
  const logOffset = existsSync(start.logPath) ? statSync(start.logPath).size : 0;
  const { isReady: _, startTimeoutMs: __, ...options } = start;
  const child = childProcess({
    ...options,
    removeAtEnd: (pid) => [...(start.removeAtEnd?.(pid) ?? []), lock.path],
  });
  lock.handTo(child.pid);
  try {
    await untilReady(start, child, logOffset);
    return child;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

/** Takes the data folder for one server, waiting for a predecessor that is about to leave. */
async function takeDataDir(dataDir: string, name: string): Promise<FileLock> {
  const lock = await takeLock({ path: join(dataDir, `${name}.lock`), waitMsMax: predecessorMsMax });
  if (lock) return lock;
  throw new PosternError('servers.start_failed', `${name}: another ${name} is running on ${dataDir}; stop it first`);
}

export interface ServerOptions {
  readonly name: string;
  readonly dataDir: string;
  /** Were the ports given by the caller? Then a taken one is an error, otherwise others are tried. */
  readonly fixedPorts: boolean;
  /** Work on the data folder before the server runs, under its lock; may be repeated. */
  readonly prepare?: () => Promise<void>;
  /** Chooses ports and says how to start on them. */
  readonly plan: () => Promise<ServerStart>;
}

async function attemptStart(options: ServerOptions): Promise<ManagedProcess> {
  const { name, dataDir, fixedPorts, prepare, plan } = options;
  const lock = await takeDataDir(dataDir, name);
  let start: ServerStart | undefined;
  try {
    await prepare?.();
    start = await plan();
    return await startOnce(start, lock);
  } catch (error) {
    lock.release();
    if (start && error instanceof StartRefused && error.reason === 'port_taken' && fixedPorts) {
      throw failure(start, 'found its port taken by another program', error.log);
    }
    throw error;
  }
}

/**
 * Starts a server on its own data folder: one at a time, on ports of its own, waiting until it is ready.
 *
 * @throws {PosternError} `servers.start_failed` with the end of the server's log.
 */
export async function startServer(options: ServerOptions): Promise<ManagedProcess> {
  const deadline = performance.now() + predecessorMsMax;
  for (;;) {
    try {
      return await attemptStart(options);
    } catch (error) {
      if (!(error instanceof StartRefused)) throw error;
      if (performance.now() < deadline) continue;
      throw new PosternError('servers.start_failed', `${options.name} did not start: ${error.log.trim()}`);
    }
  }
}
