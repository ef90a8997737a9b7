import { setTimeout as sleep } from 'node:timers/promises';

const pollMsMin = 2;
const pollMsMax = 100;

type NotYet = false | null | undefined | 0 | '';

export interface WaitOptions {
  /** How long no success is bearable; 10 s when absent. A bound on failure, never a pause. */
  readonly timeoutMs?: number;
  /** What is waited for, for the error: words, or a function that tells the state of things. */
  readonly describe: string | (() => string | Promise<string>);
}

/**
 * Waits until something has happened, looking at it ever less often.
 *
 * For progress that another process makes and does not announce; the answer comes as soon as it holds.
 *
 * @returns the first truthy value.
 * @throws when it does not come in time, with what was described; an error of the predicate at once.
 */
export async function waitFor<T>(
  predicate: () => T | NotYet | Promise<T | NotYet>,
  { timeoutMs = 10_000, describe }: WaitOptions,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (let pollMs = pollMsMin; ; pollMs = Math.min(pollMs * 1.5, pollMsMax)) {
    const value = await predicate();
    if (value) return value;
    if (performance.now() >= deadlineMs) {
      const what = typeof describe === 'string' ? describe : await describe();
      throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    }
    await sleep(pollMs);
  }
}
