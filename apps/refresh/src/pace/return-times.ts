import { paceLimits } from './pace-limits.ts';

/** When a message may come back. */
export interface Return {
  readonly nowMs: number;
  /** Not before this; now when absent. */
  readonly notBeforeMs?: number;
  /** The pause between one that comes back and the next. */
  readonly intervalMs: number;
  /** Between 0 and 1. */
  readonly random: number;
}

/**
 * Gives every message that is put back a time of its own to come back: those who were put back together would
 * otherwise come back together, again and again.
 *
 * Who would come later than the longest spread comes at some time in its second half, so that a long queue is looked
 * at now and then by every process, and a guess that was wrong is mended.
 */
export class ReturnTimes {
  #lastMs = 0;

  /** @returns whole milliseconds: the server takes a fraction for no delay at all */
  delayMs({ nowMs, notBeforeMs = nowMs, intervalMs, random }: Return): number {
    const { returnSpreadMsMax, returnDelayMsMin } = paceLimits;
    const firstMs = Math.max(nowMs, notBeforeMs);
    const nextMs = Math.max(this.#lastMs, firstMs) + intervalMs * (0.5 + random);
    const isCrowded = nextMs > firstMs + returnSpreadMsMax;
    this.#lastMs = isCrowded ? firstMs + returnSpreadMsMax : nextMs;
    const atMs = isCrowded ? firstMs + returnSpreadMsMax * (0.5 + random / 2) : nextMs;
    return Math.ceil(Math.max(atMs - nowMs, returnDelayMsMin));
  }
}
