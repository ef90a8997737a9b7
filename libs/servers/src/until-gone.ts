import { setTimeout as delay } from 'node:timers/promises';
import { isProcessAlive } from './process-identity.ts';

const pollMs = 20;

/** Resolves when none of these processes runs any more; whoever waits sets the bound. */
export async function untilGone(pids: readonly number[]): Promise<void> {
  while (pids.some((pid) => isProcessAlive(pid))) await delay(pollMs);
}
