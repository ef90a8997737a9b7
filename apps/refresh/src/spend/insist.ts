import { isPosternError } from '@postern/contracts';
import { ExponentialBackoff, handleWhen, retry } from 'cockatiel';

import { refreshLimits } from '../refresh-limits.ts';

/**
 * Does something again and again while its failure may pass: for what has been paid for and must not be lost.
 *
 * @param onRetry tells whoever waits that this is still being worked on
 * @throws what `run` threw last; at once when trying again is of no use
 */
export async function insist<T>(run: () => Promise<T>, onRetry: () => void): Promise<T> {
  const { insistAttemptsMax, insistDelayMsMin, insistDelayMsMax } = refreshLimits;
  const policy = retry(handleWhen(mayPass), {
    maxAttempts: insistAttemptsMax,
    backoff: new ExponentialBackoff({ initialDelay: insistDelayMsMin, maxDelay: insistDelayMsMax }),
  });
  policy.onRetry(onRetry);
  return await policy.execute(run);
}

/** Is it worth while to try again? */
export function mayPass(error: unknown): boolean {
  return isPosternError(error) && (error.row.retry === 'later' || error.code === 'log.conflict');
}
