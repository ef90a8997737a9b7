import { paceLimits } from './pace-limits.ts';

/** A quarter of a second's calls may be made at once. */
const burstS = 0.25;

/**
 * How many calls a second one client registration makes from this process.
 *
 * After a break it begins slowly and rises with each success, so that the backlog of an outage does not end in the next
 * one. A rate of which the provider complained is approached slowly the next time: any number of processes find their
 * share of what it allows in this way, without knowing of each other.
 */
export class RateLimit {
  readonly #callsPerSMax: number;
  #callsPerS: number;
  #calmCallsPerS = Infinity;
  #tokens: number;
  #countedAtMs: number;

  constructor({ callsPerSMax, nowMs }: { readonly callsPerSMax: number; readonly nowMs: number }) {
    this.#callsPerSMax = callsPerSMax;
    this.#callsPerS = callsPerSMax;
    this.#tokens = Math.max(1, callsPerSMax * burstS);
    this.#countedAtMs = nowMs;
  }

  get callsPerS(): number {
    return this.#callsPerS;
  }

  /** @returns whether a call may be made now; it counts then. */
  take(nowMs: number): boolean {
    const gained = (Math.max(0, nowMs - this.#countedAtMs) / 1_000) * this.#callsPerS;
    this.#tokens = Math.min(this.#tokens + gained, Math.max(1, this.#callsPerS * burstS));
    this.#countedAtMs = Math.max(nowMs, this.#countedAtMs);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** The call was not made after all. */
  giveBack(): void {
    this.#tokens += 1;
  }

  succeeded(): void {
    const { callsPerSPerSuccess, callsPerSPerSuccessSlow } = paceLimits;
    const step = this.#callsPerS < this.#calmCallsPerS ? callsPerSPerSuccess : callsPerSPerSuccessSlow;
    this.#callsPerS = Math.min(this.#callsPerSMax, this.#callsPerS + step);
  }

  /** The provider said that this was too much. */
  complained(): void {
    this.#calmCallsPerS = Math.max(1, this.#callsPerS * paceLimits.calmShare);
  }

  beginAgain(): void {
    this.#callsPerS = Math.min(this.#callsPerSMax, this.#calmCallsPerS, paceLimits.callsPerSAfterBreak);
    this.#tokens = Math.min(this.#tokens, 1);
  }
}
