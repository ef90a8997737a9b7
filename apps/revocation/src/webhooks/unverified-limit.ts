import { createHash } from 'node:crypto';

import { revocationLimits } from '../revocation-limits.ts';

const { unverifiedBurstMax, unverifiedPerSecondMax } = revocationLimits;

const slots = 1_024;

/**
 * How many deliveries that are not verified a path may bring before they are only counted.
 *
 * What is verified is never refused here, however much else comes: to verify costs less than to refuse by any other rule.
 * Paths share a fixed number of places by their digest, whether a registration stands behind them or not, so that memory
 * does not grow and nobody learns from a refusal what exists.
 */
export class UnverifiedLimit {
  readonly #left = new Float64Array(slots).fill(unverifiedBurstMax);
  readonly #countedAtMs = new Float64Array(slots);

  /** Counts one. @returns whether it is within the limit. @param nowMs on a clock that only goes forward */
  take(path: string, nowMs: number): boolean {
    const slot = createHash('sha256').update(path).digest().readUInt16BE(0) % slots;
    const passedMs = nowMs - (this.#countedAtMs[slot] ?? 0);
    const refilled = (this.#left[slot] ?? 0) + (passedMs * unverifiedPerSecondMax) / 1_000;
    const left = Math.min(unverifiedBurstMax, refilled);
    this.#countedAtMs[slot] = nowMs;
    this.#left[slot] = left < 1 ? left : left - 1;
    return left >= 1;
  }
}
