import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PosternError } from '@postern/contracts';
import { guardProcess, releaseProcess } from './watchdog.ts';

/** How a process ended: with a code, or by a signal. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that is gone when its parent is gone. */
export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended, whoever ended it; never rejects. */
  readonly exited: Promise<ProcessEnd>;
  /** Asks it to end and, after the bound, makes it. May be repeated. */
  stop(): Promise<void>;
  /** Ends it at once with SIGKILL, and what it left in its process group. May be repeated. */
  kill(): Promise<void>;
}

export interface ChildProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args?: readonly string[];
  /** The whole environment of the process; this process's own when absent. */
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Called for each line of output. Give this or `logPath`; with neither the output is dropped. */
  readonly onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  /** A file that the output is appended to (mode 0600); it goes on being written when the parent is gone. */
  readonly logPath?: string;
  readonly stopSignal?: NodeJS.Signals;
  /** How long a process may take to end by itself before SIGKILL, in milliseconds. */
  readonly stopTimeoutMs?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Files and folders that are deleted once the process has ended. */
  readonly removeAtEnd?: (pid: number) => readonly string[];
}

const stopTimeoutMsDefault = 10_000;

/**
 * The shell waits for a line before it becomes the program, so that nothing runs before the watchdog knows of it:
 * a parent that dies in between closes the pipe, and the shell ends.
 */
const gate = 'read -r go && exec "$@" </dev/null';

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

type Output = 'pipe' | 'ignore' | number;

function spawnGated(options: ChildProcessOptions, output: readonly [Output, Output]): ChildProcess {
  const { name, command, args = [], env = process.env, cwd, uid, gid } = options;
  return spawn('/bin/sh', ['-c', gate, name, command, ...args], {
    detached: true,
    env,
    stdio: ['pipe', ...output],
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  });
}

function forwardLines(child: ChildProcess, onLine: NonNullable<ChildProcessOptions['onLine']>): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    const input = child[stream];
    if (input) createInterface({ input }).on('line', (line) => onLine(line, stream));
  }
}

function spawnWithOutput(options: ChildProcessOptions): ChildProcess {
  if (options.onLine) {
    const child = spawnGated(options, ['pipe', 'pipe']);
    forwardLines(child, options.onLine);
    return child;
  }
  if (options.logPath === undefined) return spawnGated(options, ['ignore', 'ignore']);
  const log = openSync(options.logPath, 'a', 0o600);
  try {
    return spawnGated(options, [log, log]);
  } finally {
    closeSync(log);
  }
}

/** Ends with the last line of output, where output is read; what the process left in its group ends with it. */
function endOf(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve) => {
    child.once('exit', () => {
      if (child.pid !== undefined) signalTo(-child.pid, 'SIGKILL');
    });
    child.once(child.stdout ? 'close' : 'exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: 127, signal: null }));
  });
}

function stopper(pid: number, exited: Promise<ProcessEnd>, options: ChildProcessOptions): () => Promise<void> {
  const { stopSignal = 'SIGTERM', stopTimeoutMs = stopTimeoutMsDefault } = options;
  return async () => {
    signalTo(pid, stopSignal);
    const timer = setTimeout(() => signalTo(-pid, 'SIGKILL'), stopTimeoutMs);
    await exited.finally(() => clearTimeout(timer));
  };
}

/**
 * Starts a program in a process group of its own, under the watchdog.
 *
 * Ctrl-C in a terminal does not reach it: its parent decides when it ends. A program that does not exist ends
 * with code 127.
 *
 * @throws {PosternError} `servers.start_failed` when the system allows no new process.
 * @effect starts a process, and with the first one the watchdog.
 */
export function childProcess(options: ChildProcessOptions): ManagedProcess {
  const { name, stopSignal = 'SIGTERM', stopTimeoutMs = stopTimeoutMsDefault, removeAtEnd } = options;
  const child = spawnWithOutput(options);
  const ended = endOf(child);
  const { pid, stdin } = child;
  if (pid === undefined || !stdin) {
    const place = options.cwd === undefined ? '' : `, or the folder ${options.cwd} cannot be entered`;
    throw new PosternError('servers.start_failed', `${name}: the system allowed no new process${place}`);
  }
  const remove = removeAtEnd?.(pid) ?? [];
  guardProcess({ pid, signal: stopSignal, graceMs: stopTimeoutMs, remove });
  stdin.on('error', () => undefined);
  stdin.end('go\n');
  let over = false;
  const exited = ended.then((end) => {
    over = true;
    for (const path of remove) rmSync(path, { force: true, recursive: true });
    releaseProcess(pid);
    return end;
  });
  const whileAlive = (act: () => Promise<void>) => (): Promise<void> => (over ? Promise.resolve() : act());
  return {
    name,
    pid,
    exited,
    stop: whileAlive(stopper(pid, exited, options)),
    kill: whileAlive(async () => {
      signalTo(-pid, 'SIGKILL');
      await exited;
    }),
  };
}
