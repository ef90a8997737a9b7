import { isPosternError } from '@postern/contracts';
import { retryDelayMs } from '@postern/event-log';
import type { Clock } from '@postern/service';

import { refreshLimits } from '../refresh-limits.ts';

const policy = Object.freeze({
  attemptsMax: refreshLimits.insistAttemptsMax,
  retryDelayMsMin: refreshLimits.insistDelayMsMin,
  retryDelayMsMax: refreshLimits.insistDelayMsMax,
});

/**
 * Does something again and again while its failure may pass: for what has been paid for and must not be lost.
 *
 * @param onRetry tells whoever waits that this is still being worked on
 * @throws what `run` threw last; at once when trying again is of no use
 */
export async function insist<T>(
  run: () => Promise<T>,
  { clock, onRetry }: { readonly clock: Pick<Clock, 'sleep' | 'random'>; readonly onRetry: () => void },
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (!mayPass(error) || attempt > policy.attemptsMax) throw error;
      onRetry();
      await clock.sleep(retryDelayMs(policy, attempt, clock.random()));
    }
  }
}

/** Is it worth while to try again? */
export function mayPass(error: unknown): boolean {
  return isPosternError(error) && (error.row.retry === 'later' || error.code === 'log.conflict');
}
