import { paceLimits } from './pace-limits.ts';

export const breakerStates = ['closed', 'open', 'half_open'] as const;
export type BreakerState = (typeof breakerStates)[number];

/** What a breaker says to somebody who wants to call. */
export type Admission =
  | { readonly kind: 'call' }
  /** The one call by which it is found out whether the provider is back. */
  | { readonly kind: 'trial' }
  | { readonly kind: 'wait'; readonly untilMs: number };

/**
 * Leaves a provider alone that fails again and again: an attempt would cost a claim, a degraded connection and, where
 * tokens rotate, perhaps the grant, and would bring nothing.
 *
 * closed → open after failures in a row, or at once when the provider asks for a pause → half open after the pause: one
 * trial, whose success closes it and whose failure opens it for twice as long. All times are of a clock that nobody
 * sets back; that, and a trial that nobody waits for, is why it is our own (docs/adr/0014).
 */
export class CircuitBreaker {
  #failuresInARow = 0;
  #breaks = 0;
  #openUntilMs: number | undefined;
  #isTrying = false;

  get failuresInARow(): number {
    return this.#failuresInARow;
  }

  /** When the next trial may be made; undefined while it is closed. */
  get openUntilMs(): number | undefined {
    return this.#openUntilMs;
  }

  state(nowMs: number): BreakerState {
    if (this.#openUntilMs === undefined) return 'closed';
    return nowMs < this.#openUntilMs ? 'open' : 'half_open';
  }

  /** Whoever gets a trial must end it by `succeeded`, `failed` or `abandoned`. */
  admit(nowMs: number): Admission {
    if (this.#openUntilMs === undefined) return { kind: 'call' };
    if (nowMs < this.#openUntilMs) return { kind: 'wait', untilMs: this.#openUntilMs };
    if (this.#isTrying) return { kind: 'wait', untilMs: nowMs + paceLimits.trialWaitMs };
    this.#isTrying = true;
    return { kind: 'trial' };
  }

  /** @returns whether that ended a break */
  succeeded(): boolean {
    const wasOpen = this.#openUntilMs !== undefined;
    this.#failuresInARow = 0;
    this.#breaks = 0;
    this.#openUntilMs = undefined;
    this.#isTrying = false;
    return wasOpen;
  }

  /**
   * @param askedMs the pause that the provider asked for
   * @returns whether that began a break
   */
  failed({ nowMs, random, askedMs }: { nowMs: number; random: number; askedMs: number | null }): boolean {
    this.#failuresInARow += 1;
    // Calls that were under way when the break began say nothing new.
    if (this.state(nowMs) === 'open') return false;
    const isTrial = this.#openUntilMs !== undefined;
    this.#isTrying = false;
    if (!isTrial && askedMs === null && this.#failuresInARow < paceLimits.failuresInARowMax) return false;
    this.#breaks += 1;
    const doubledMs = paceLimits.breakMsMin * 2 ** Math.min(this.#breaks - 1, 16);
    const pauseMs = Math.min(Math.max(doubledMs, askedMs ?? 0), paceLimits.breakMsMax);
    this.#openUntilMs = nowMs + pauseMs * (1 + random / 4);
    return true;
  }

  /** The trial was not made after all. */
  abandoned(): void {
    this.#isTrying = false;
  }
}
