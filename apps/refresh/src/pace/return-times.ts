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
 * Who would come later than the longest spread stands in a second line, which begins in the middle of that spread and goes on
 * for as long as it has to: a guess that was wrong is mended by those who come from it, as many as one process can work
 * off, and a queue of any length is looked at no more often than that.
 */
export class ReturnTimes {
  #lastMs = 0;
  #lastOfCrowdMs = 0;

  /** @returns whole milliseconds: the server takes a fraction for no delay at all */
  delayMs({ nowMs, notBeforeMs = nowMs, intervalMs, random }: Return): number {
    const { returnSpreadMsMax, returnDelayMsMin, crowdIntervalMsMax } = paceLimits;
    const firstMs = Math.max(nowMs, notBeforeMs);
    const after = (lastMs: number, pauseMs: number) => lastMs + pauseMs * (0.5 + random);
    const nextMs = after(Math.max(this.#lastMs, firstMs), intervalMs);
    const delayMs = (atMs: number) => Math.ceil(Math.max(atMs - nowMs, returnDelayMsMin));
    if (nextMs <= firstMs + returnSpreadMsMax) return delayMs((this.#lastMs = nextMs));
    const middleMs = firstMs + returnSpreadMsMax / 2;
    const pauseMs = Math.min(intervalMs, crowdIntervalMsMax);
    return delayMs((this.#lastOfCrowdMs = after(Math.max(this.#lastOfCrowdMs, middleMs), pauseMs)));
  }
}
