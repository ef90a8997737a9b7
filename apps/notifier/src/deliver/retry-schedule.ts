import { notifierLimits } from '../notifier-limits.ts';

const { retryDelaysMs, retryJitterShare } = notifierLimits;

/**
 * When a message is sent again after it failed so many times.
 *
 * @param random between 0 and 1.
 * @returns undefined when it was tried for a day: it is dead.
 */
export function retryDelayMs(failures: number, random: number): number | undefined {
  const delayMs = retryDelaysMs[failures - 1];
  return delayMs === undefined ? undefined : Math.round(delayMs * (1 + (2 * random - 1) * retryJitterShare));
}
