import { revocationLimits } from '../revocation-limits.ts';

const { upstreamRetryDelayMsMin, upstreamRetryDelayMsMax, upstreamGiveUpAfterMs } = revocationLimits;

export interface RetryInput {
  /** 1 the first time. */
  readonly deliveries: number;
  /** What the provider asked for; it is heard, up to a day. */
  readonly retryAfterMs?: number | null;
  /** In [0, 1). */
  readonly random?: () => number;
}

/**
 * How long until the next try: doubling, the upper half of it by chance, so that the connections of a provider that
 * was down do not all come back at once.
 */
export function retryDelayMs({ deliveries, retryAfterMs, random = Math.random }: RetryInput): number {
  const doubled = upstreamRetryDelayMsMin * 2 ** Math.min(Math.max(deliveries - 1, 0), 30);
  const ceilingMs = Math.min(upstreamRetryDelayMsMax, doubled);
  return Math.max(Math.round((ceilingMs * (1 + random())) / 2), retryAfterMs ?? 0);
}

/** Has the provider been tried for so long that it is given up on? */
export function isPatienceOver({ sinceMs, nowMs }: { sinceMs: number; nowMs: number }): boolean {
  return nowMs - sinceMs >= upstreamGiveUpAfterMs;
}
