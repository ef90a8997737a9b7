import { revocationLimits } from '../revocation-limits.ts';
import type { Asked } from './ask-provider.ts';

const { waveConnectionsMin, waveWindowMs, wavePauseMsMin, wavePauseMsMax } = revocationLimits;
const { inquiriesAtOnceMax, inquiryTurnMs, waveRegistrationsMax, waveConnectionsMax } = revocationLimits;

/** A connection whose token was refused, and when that was reported. */
export interface Hint {
  readonly registrationId: string;
  readonly connectionId: string;
  readonly receivedAtMs: number;
  /** It has made nobody suspected yet. What stands in the log is asked about until there is an answer. */
  readonly isNew: boolean;
}

/**
 * May the provider be asked about it now?
 *
 * `let_be`: it came in a wave of which the provider has said, about another one, that the grant lives.
 */
export type Admission =
  | { readonly kind: 'ask' }
  | { readonly kind: 'wait'; readonly delayMs: number }
  | { readonly kind: 'let_be' };

/** What is known of the refusals of one client registration's tokens. */
interface Refusals {
  /** When each connection was last reported, or waited. */
  readonly seenAtMs: Map<string, number>;
  asking: number;
  failures: number;
  pausedUntilMs: number;
  /** A grant of this wave was confirmed to be dead: the others are asked about one after the other. */
  isConfirmed: boolean;
  /** Reports until then that still wait belong to a wave that was none. */
  calmUntilMs: number;
}

/**
 * Keeps an outage from being taken for the end of every grant, and from being made worse by questions.
 *
 * Many connections of one client registration whose tokens are refused at once are a wave. Of a wave one connection is
 * asked about at a time: while that has no answer nobody is suspected, when the grant lives the rest is let be, and when
 * it is dead the others are asked about, each for itself. Each process keeps its own count.
 */
export class OutageGate {
  readonly #registrations = new Map<string, Refusals>();

  /** Client registrations that have a wave now. */
  waves(nowMs: number): number {
    return [...this.#registrations.values()].filter((refusals) => isWave(refusals, nowMs)).length;
  }

  /** Whoever may ask must say what came of it, by `ended`. @returns also whether a wave began with this one */
  enter(hint: Hint, nowMs: number): Admission & { readonly waveBegan: boolean } {
    const { connectionId, receivedAtMs, isNew } = hint;
    const refusals = this.#of(hint.registrationId);
    const before = isWave(refusals, nowMs);
    if (isNew && receivedAtMs <= refusals.calmUntilMs) return { kind: 'let_be', waveBegan: false };
    if (refusals.seenAtMs.size < waveConnectionsMax || refusals.seenAtMs.has(connectionId)) {
      refusals.seenAtMs.set(connectionId, nowMs);
    }
    const wave = isWave(refusals, nowMs);
    if (!wave) refusals.isConfirmed = false;
    const waveBegan = wave && !before;
    const atOnceMax = wave && !refusals.isConfirmed ? 1 : inquiriesAtOnceMax;
    const pausedMs = refusals.pausedUntilMs - nowMs;
    if (pausedMs > 0) return { kind: 'wait', delayMs: pausedMs, waveBegan };
    if (refusals.asking >= atOnceMax) return { kind: 'wait', delayMs: inquiryTurnMs, waveBegan };
    refusals.asking += 1;
    return { kind: 'ask', waveBegan };
  }

  /** @param asked undefined when nobody could be asked because something of ours was away */
  ended({ registrationId, connectionId }: Hint, asked: Asked | undefined, nowMs: number): void {
    const refusals = this.#of(registrationId);
    refusals.asking = Math.max(0, refusals.asking - 1);
    const wave = isWave(refusals, nowMs);
    if (asked?.kind === 'confirmed' || asked?.kind === 'disproved') {
      refusals.failures = 0;
      refusals.pausedUntilMs = 0;
    }
    if (asked?.kind === 'confirmed') refusals.isConfirmed = wave;
    if (asked?.kind === 'disproved' && wave && !refusals.isConfirmed) {
      refusals.calmUntilMs = nowMs;
      refusals.seenAtMs.clear();
    }
    if (asked?.kind === 'again' || (asked?.kind === 'unknown' && wave)) {
      const doubledMs = Math.min(wavePauseMsMin * 2 ** Math.min(refusals.failures, 10), wavePauseMsMax);
      const askedMs = asked.kind === 'again' ? (asked.retryAfterMs ?? 0) : 0;
      refusals.failures += 1;
      refusals.pausedUntilMs = nowMs + Math.max(doubledMs, askedMs);
    } else {
      refusals.seenAtMs.delete(connectionId);
    }
  }

  #of(registrationId: string): Refusals {
    const known = this.#registrations.get(registrationId) ?? {
      seenAtMs: new Map<string, number>(),
      asking: 0,
      failures: 0,
      pausedUntilMs: 0,
      isConfirmed: false,
      calmUntilMs: 0,
    };
    this.#registrations.delete(registrationId);
    const [eldest] = this.#registrations.keys();
    if (this.#registrations.size >= waveRegistrationsMax && eldest !== undefined) this.#registrations.delete(eldest);
    this.#registrations.set(registrationId, known);
    return known;
  }
}

/** @effect forgets who was not seen for a while. */
function isWave({ seenAtMs }: Refusals, nowMs: number): boolean {
  for (const [connectionId, atMs] of seenAtMs) {
    if (atMs < nowMs - waveWindowMs) seenAtMs.delete(connectionId);
  }
  return seenAtMs.size >= waveConnectionsMin;
}
