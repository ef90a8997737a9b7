import { paceLimits } from './pace-limits.ts';

const { rejectedInARowMax, rejectedWindowMs, waveHeldMs } = paceLimits;

/**
 * Keeps a provider that calls one refresh token after the other dead from ending every grant of a client registration:
 * its database may be away, or somebody has changed our client.
 *
 * A row of rejections without a success between them, within a short time, is a wave. From then on none of them counts,
 * until a refresh succeeds (the provider is well, and who is rejected afterwards is) or the provider has said the same for
 * so long that it is believed. Times are of a clock that nobody sets back.
 */
export class RejectionWave {
  #inARow: number[] = [];
  #sinceMs: number | undefined;
  #isBelieved = false;

  get isOn(): boolean {
    return this.#sinceMs !== undefined;
  }

  succeeded(): void {
    this.#inARow = [];
    this.#sinceMs = undefined;
    this.#isBelieved = false;
  }

  /** @returns whether it counts as the end of that grant */
  rejected(nowMs: number): boolean {
    const last = this.#inARow.at(-1) ?? nowMs;
    // What was believed for good reason is no reason any more after an hour of silence.
    if (nowMs - last > 2 * waveHeldMs) this.succeeded();
    this.#inARow = [...this.#inARow.filter((atMs) => nowMs - atMs < rejectedWindowMs), nowMs].slice(-rejectedInARowMax);
    if (this.#isBelieved) return true;
    if (this.#sinceMs === undefined && this.#inARow.length < rejectedInARowMax) return true;
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs < waveHeldMs) return false;
    this.#sinceMs = undefined;
    this.#isBelieved = true;
    return true;
  }
}
