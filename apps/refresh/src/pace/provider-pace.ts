import type { Refreshed, Refusal } from '@postern/provider-client';

import { CircuitBreaker, type BreakerState } from './circuit-breaker.ts';
import { RejectionWave } from './rejection-wave.ts';
import { RateLimit } from './rate-limit.ts';
import { ReturnTimes } from './return-times.ts';

export type Answer = Refreshed | Refusal;

/** May a refresh token be spent at this provider now? */
export type Turn =
  | { readonly kind: 'call'; readonly isTrial: boolean }
  | { readonly kind: 'put_back'; readonly why: 'breaker' | 'rate'; readonly delayMs: number };

/** The pace of one client registration at its provider, as this process sees it. */
export interface PaceReading {
  readonly providerId: string;
  readonly registrationId: string;
  readonly breaker: BreakerState;
  /** Until the next trial; null while the breaker is closed. */
  readonly nextTrialInMs: number | null;
  readonly failuresInARow: number;
  /** The last failure's word, while failures follow each other. */
  readonly lastError: string | null;
  /** At most so many calls are made now. */
  readonly callsPerS: number;
}

interface Now {
  readonly nowMs: number;
  readonly random: number;
}

/** A rate limit and a circuit breaker for one client registration at one provider. */
export class ProviderPace {
  readonly #ids: Pick<PaceReading, 'providerId' | 'registrationId'>;
  readonly #breaker = new CircuitBreaker();
  readonly #rate: RateLimit;
  readonly #returns = new ReturnTimes();
  readonly #wave = new RejectionWave();
  #lastError: string | null = null;

  constructor(ids: Pick<PaceReading, 'providerId' | 'registrationId'>, rate: { callsPerSMax: number; nowMs: number }) {
    this.#ids = ids;
    this.#rate = new RateLimit(rate);
  }

  /** Whoever may call must say what came of it, by `heard`, and that it is over, by `ended`. */
  turn({ nowMs, random }: Now): Turn {
    const admission = this.#breaker.admit(nowMs);
    const intervalMs = 1_000 / this.#rate.callsPerS;
    if (admission.kind === 'wait') {
      const delayMs = this.#returns.delayMs({ nowMs, notBeforeMs: admission.untilMs, intervalMs, random });
      return { kind: 'put_back', why: 'breaker', delayMs };
    }
    const isTrial = admission.kind === 'trial';
    if (this.#rate.take(nowMs) || isTrial) return { kind: 'call', isTrial };
    return { kind: 'put_back', why: 'rate', delayMs: this.#returns.delayMs({ nowMs, intervalMs, random }) };
  }

  /**
   * What an answer is worth: in a wave of rejections none is one.
   *
   * @returns the answer, or in its place a failure with the provider's words, which may be tried again
   */
  weighed(answer: Answer, nowMs: number): Answer {
    if (answer.kind === 'refreshed') this.#wave.succeeded();
    if (answer.kind !== 'rejected' || this.#wave.rejected(nowMs)) return answer;
    return { ...answer, kind: 'failed', retryAfterMs: null, mayHaveBeenProcessed: false };
  }

  /** @returns whether a break began or ended with this answer */
  heard(answer: Answer, { nowMs, random }: Now): 'break_began' | 'break_ended' | undefined {
    if (!this.#isTrouble(answer)) {
      this.#lastError = null;
      const ended = this.#breaker.succeeded();
      if (!ended) this.#rate.succeeded();
      return ended ? 'break_ended' : undefined;
    }
    this.#lastError = answer.error;
    if (answer.httpStatus === 429) this.#rate.complained();
    const askedMs = askedMsOf(answer) ?? (this.#wave.isOn ? 0 : null);
    if (!this.#breaker.failed({ nowMs, random, askedMs })) return undefined;
    this.#rate.beginAgain();
    return 'break_began';
  }

  /** A rejection that does not count is trouble, though its status says otherwise. */
  #isTrouble(answer: Answer): answer is Refusal {
    return (this.#wave.isOn && answer.kind === 'failed') || isTrouble(answer);
  }

  ended({ isTrial, called }: { readonly isTrial: boolean; readonly called: boolean }): void {
    if (isTrial) this.#breaker.abandoned();
    else if (!called) this.#rate.giveBack();
  }

  /** Are its rejections not believed? */
  get hasWave(): boolean {
    return this.#wave.isOn;
  }

  reading(nowMs: number): PaceReading {
    const { openUntilMs, failuresInARow } = this.#breaker;
    return {
      ...this.#ids,
      breaker: this.#breaker.state(nowMs),
      nextTrialInMs: openUntilMs === undefined ? null : Math.max(0, Math.ceil(openUntilMs - nowMs)),
      failuresInARow,
      lastError: this.#lastError,
      callsPerS: this.#rate.callsPerS,
    };
  }
}

/** Trouble that the next connection would meet as well; a verdict on one grant shows that the provider is well. */
function isTrouble(answer: Answer): answer is Refusal {
  if (answer.kind === 'client_rejected') return true;
  if (answer.kind !== 'failed') return false;
  const { httpStatus } = answer;
  return httpStatus === null || httpStatus < 400 || httpStatus >= 500 || httpStatus === 408 || httpStatus === 429;
}

function askedMsOf(answer: Refusal): number | null {
  if (answer.kind !== 'failed') return null;
  return answer.retryAfterMs ?? (answer.httpStatus === 429 ? 0 : null);
}
