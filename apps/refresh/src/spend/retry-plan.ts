import { servedUntilMs, type Connection } from '@postern/domain';

import { refreshLimits } from '../refresh-limits.ts';

/** An attempt that brought neither tokens nor a verdict. */
export interface Failure {
  /** The provider's word or ours. */
  readonly error: string;
  /** What it said beside that. */
  readonly errorDescription: string | null;
  readonly httpStatus: number | null;
  /** What the provider asked for. */
  readonly retryAfterMs: number | null;
  /** The shortest pause; `retryDelayMsMin` when absent. */
  readonly pauseMsMin?: number | undefined;
  /** The refresh token may count as spent at the provider: a second use could cost the living access token. */
  readonly mayHaveBeenProcessed: boolean;
}

/**
 * When the next attempt is due.
 *
 * The pause is as long as refreshing has been failing, so it about doubles each time without a counter, which no
 * process could keep; the first is short, none is longer than the maximum. Half of it is chance, lest everyone who
 * failed together comes back together. `Retry-After` is a floor, with chance on top. Where the refresh token may have
 * been spent, the living access token is served first, as long as the refresh token can wait for that. And while a
 * resting refresh token comes near its end, the pause is no more than a share of the time that is left: however long it
 * has been failing, many attempts are still made.
 *
 * @param now `random` between 0 and 1, `restEndsAtMs` when the refresh token ends if nobody uses it
 */
export function nextAttemptAtMs(
  { health, credential }: Pick<Connection, 'health' | 'credential'>,
  failure: Pick<Failure, 'retryAfterMs' | 'pauseMsMin' | 'mayHaveBeenProcessed'>,
  now: { readonly nowMs: number; readonly random: number; readonly restEndsAtMs: number | null },
): number {
  const { nowMs, random } = now;
  const { retryDelayMsMin, retryDelayMsMax, retryRestShareMax } = refreshLimits;
  const { retryAfterMs, pauseMsMin = retryDelayMsMin, mayHaveBeenProcessed } = failure;
  const failingForMs = nowMs - (health.failingSinceMs ?? nowMs);
  const restMs = now.restEndsAtMs === null || now.restEndsAtMs <= nowMs ? Infinity : now.restEndsAtMs - nowMs;
  const pauseMsMax = Math.min(retryDelayMsMax, restMs * retryRestShareMax);
  const pauseMs = Math.max(Math.min(failingForMs, pauseMsMax), pauseMsMin);
  const backOffMs = pauseMs * (0.5 + random / 2);
  const askedMs = retryAfterMs === null ? 0 : retryAfterMs + retryDelayMsMin * random;
  const servedMs = mayHaveBeenProcessed && credential !== null ? servedUntilMs(credential, now) : 0;
  return Math.max(Math.ceil(nowMs + Math.max(backOffMs, askedMs)), servedMs);
}
