import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the watchdog must know to end a process in its parent's place. */
export interface Guard {
  readonly pid: number;
  readonly signal: NodeJS.Signals;
  readonly graceMs: number;
  /** Files and folders to delete once the process is gone. */
  readonly remove: readonly string[];
}

/** The same file from source and from `dist`: both stand one folder below the package. */
const watchdogPath = fileURLToPath(new URL('../bin/watchdog.mjs', import.meta.url));

const guards = new Map<number, Guard>();
let watchdog: ChildProcess | undefined;

function send(message: unknown): void {
  watchdog?.stdin?.write(`${JSON.stringify(message)}\n`);
}

function startWatchdog(): void {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, [watchdogPath], {
    detached: true,
    env,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog = child;
  child.unref();
  child.stdin.on('error', () => undefined);
  (child.stdin as unknown as { unref(): void }).unref();
  for (const guard of guards.values()) send({ guard });
  child.once('exit', () => {
    if (watchdog !== child) return;
    watchdog = undefined;
    if (guards.size > 0) startWatchdog();
  });
}

/**
 * Puts a process under the watchdog: it is ended when this process is gone, even after SIGKILL.
 *
 * One watchdog serves all processes of a parent. It is started with the first, started again should somebody kill
 * it, and leaves with the last.
 */
export function guardProcess(guard: Guard): void {
  guards.set(guard.pid, guard);
  if (watchdog) send({ guard });
  else startWatchdog();
}

/** Takes an ended process from the watchdog's list. */
export function releaseProcess(pid: number): void {
  if (!guards.delete(pid)) return;
  send({ release: pid });
  if (guards.size > 0) return;
  watchdog?.stdin?.end();
  watchdog = undefined;
}

/** The watchdog's process number, while it watches anything. */
export function watchdogPid(): number | undefined {
  return watchdog?.pid;
}
