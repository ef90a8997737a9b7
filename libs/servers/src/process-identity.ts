import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process as it can be told apart from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it began, in the system's own words; undefined where the system does not say. */
  readonly started?: string;
}

function linuxStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function otherStart(pid: number): string | undefined {
  try {
    const [state, ...start] = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
    return state?.startsWith('Z') ? undefined : start.join(' ') || undefined;
  } catch {
    return undefined;
  }
}

function startOf(pid: number): string | undefined {
  return process.platform === 'linux' ? linuxStart(pid) : otherStart(pid);
}

/** The identity of a running process; a process that has ended keeps its number only. */
export function identityOf(pid: number): ProcessIdentity {
  const started = startOf(pid);
  return started === undefined ? { pid } : { pid, started };
}

/**
 * Does this very process still run?
 *
 * A zombie does not: it has ended, and in a container nobody may ever collect it. With an identity a reused
 * process number is told apart.
 */
export function isProcessAlive(process: number | ProcessIdentity): boolean {
  const { pid, started } = typeof process === 'number' ? { pid: process, started: undefined } : process;
  const now = startOf(pid);
  return now !== undefined && (started === undefined || started === now);
}
