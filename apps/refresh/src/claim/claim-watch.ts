import { Injectable } from '@nestjs/common';
import { consumers } from '@postern/contracts';
import { connectionEvolver, type Claim, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';
import { Clock } from '@postern/service';

import { RefreshConfig } from '../refresh-config.ts';

interface Sighting {
  readonly claimId: string;
  /** Monotonic. */
  readonly sinceMs: number;
}

/** A claim as it stood in the log. */
export interface StandingClaim {
  readonly subject: string;
  readonly claim: Claim;
  /** When the state was written that carries it. */
  readonly atMs: number;
}

/**
 * Since when this process has seen each standing claim, on a clock that nobody sets back.
 *
 * A claim names its end by its writer's wall clock. Judged by ours, a clock that is wrong would let a live claim be
 * stolen or a dead one stand for ever; so a claim is over for us when we have watched it for longer than its time. A
 * process that has just started reads the last minute of the log, and waits that time once.
 */
@Injectable()
export class ClaimWatch {
  readonly #sightings = new Map<string, Sighting>();
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #claimTimeoutMs: number;

  constructor(clock: Clock, { claimTimeoutMs }: RefreshConfig) {
    this.#clock = clock;
    this.#claimTimeoutMs = claimTimeoutMs;
  }

  /** How many claims stand, as far as this process knows. */
  get size(): number {
    return this.#sightings.size;
  }

  /** Takes note of a claim, or of its end, from the feed. */
  observe({ subject, commit }: LogEntry): void {
    if (commit.stateVersion !== connectionEvolver.stateVersion) return;
    const { claim } = commit.state as Connection;
    if (claim === null) this.#sightings.delete(subject);
    else this.#see(subject, claim.claimId);
  }

  /** How long this claim may still be its worker's; zero or less when it may be taken over. */
  remainingMs({ subject, claim, atMs }: StandingClaim): number {
    const { sinceMs } = this.#see(subject, claim.claimId);
    return sinceMs + this.#durationMs(claim, atMs) - this.#clock.monotonicMs();
  }

  /** Ours, or the longer one of a differently configured writer: the span between two times of one clock. */
  #durationMs({ expiresAtMs }: Claim, atMs: number): number {
    return Math.min(Math.max(this.#claimTimeoutMs, expiresAtMs - atMs), consumers.refreshWorker.ackWaitMs);
  }

  #see(subject: string, claimId: string): Sighting {
    const known = this.#sightings.get(subject);
    if (known?.claimId === claimId) return known;
    const sighting = { claimId, sinceMs: this.#clock.monotonicMs() };
    this.#sightings.set(subject, sighting);
    return sighting;
  }
}
