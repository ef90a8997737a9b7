import type { Connection } from '@postern/domain';

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
 * been spent, the living access token is served to its end first.
 *
 * @param random between 0 and 1
 */
export function nextAttemptAtMs(
  { health, credential }: Pick<Connection, 'health' | 'credential'>,
  failure: Pick<Failure, 'retryAfterMs' | 'pauseMsMin' | 'mayHaveBeenProcessed'>,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
): number {
  const { retryDelayMsMin, retryDelayMsMax } = refreshLimits;
  const { retryAfterMs, pauseMsMin = retryDelayMsMin, mayHaveBeenProcessed } = failure;
  const failingForMs = nowMs - (health.failingSinceMs ?? nowMs);
  const pauseMs = Math.min(Math.max(failingForMs, pauseMsMin), retryDelayMsMax);
  const backOffMs = pauseMs * (0.5 + random / 2);
  const askedMs = retryAfterMs === null ? 0 : retryAfterMs + retryDelayMsMin * random;
  const tokenEndsAtMs = mayHaveBeenProcessed ? (credential?.accessTokenExpiresAtMs ?? 0) : 0;
  return Math.max(Math.ceil(nowMs + Math.max(backOffMs, askedMs)), tokenEndsAtMs);
}
