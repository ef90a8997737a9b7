import { setTimeout as delay } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { limits, operations } from '@postern/contracts';
import { Clock, Logger, Metrics, OperationsClient } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';
import { VaultRoster } from './vault-roster.ts';

export interface Confirmed {
  /** The vaults that said so, by instance. The others have lost the right to serve. */
  readonly confirmed_by: string[];
  /** From the append to this answer. */
  readonly confirmation_ms: number;
}

/**
 * Waits until no vault can serve a state older than a position (DESIGN §2, promise 5).
 *
 * Either every vault that is known has confirmed it, or so much time has passed since the append that a vault which
 * has not applied it cannot hold a proof of freshness and refuses by itself. Where no vault shows itself, only time
 * tells: it may be cut off from us alone.
 */
@Injectable()
export class Confirmation {
  constructor(
    private readonly operations: OperationsClient,
    private readonly roster: VaultRoster,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /** To be called when the append is known to be durable; the time counts from here. */
  async everywhere(position: number): Promise<Confirmed> {
    const startedMs = this.clock.monotonicMs();
    const deadlineMs = startedMs + limits.feedStaleMsMax + revocationLimits.confirmationMarginMs;
    const confirmed = new Set<string>();
    await Promise.all([this.roster.look(), this.#ask(position, { confirmed, deadlineMs })]);
    while (!this.#isComplete(confirmed) && this.#leftMs(deadlineMs) > 0) {
      await delay(Math.min(revocationLimits.confirmationPauseMs, this.#leftMs(deadlineMs)));
      await this.#ask(position, { confirmed, deadlineMs });
    }
    const elapsedMs = this.clock.monotonicMs() - startedMs;
    this.#tell(confirmed, elapsedMs);
    return { confirmed_by: [...confirmed].toSorted(), confirmation_ms: Math.round(elapsedMs) };
  }

  #isComplete(confirmed: ReadonlySet<string>): boolean {
    return confirmed.size > 0 && this.#missing(confirmed).length === 0;
  }

  #missing(confirmed: ReadonlySet<string>): string[] {
    return this.roster.known().filter((instance) => !confirmed.has(instance));
  }

  #leftMs(deadlineMs: number): number {
    return Math.max(0, deadlineMs - this.clock.monotonicMs());
  }

  /** Asks all at once, until as many have answered as are known. Never rejects: who cannot be asked is waited for. */
  async #ask(position: number, turn: { confirmed: Set<string>; deadlineMs: number }): Promise<void> {
    const timeoutMs = Math.ceil(this.#leftMs(turn.deadlineMs));
    if (timeoutMs === 0) return;
    const count = Math.max(1, this.roster.known().length);
    const onError = (error: Error) => this.logger.warn('a vault did not confirm', { err: error, position });
    try {
      const as = { app: 'revocation' } as const;
      const options = { timeoutMs, count, onError };
      const replies = await this.operations.callEvery(operations.confirmPosition, as, { position }, options);
      for (const reply of replies) if (reply.position >= position) turn.confirmed.add(reply.instance);
    } catch (error) {
      this.logger.warn('the vaults could not be asked to confirm', { err: error, position });
    }
  }

  #tell(confirmed: ReadonlySet<string>, elapsedMs: number): void {
    const seconds = this.metrics.histogram('postern.confirmation.duration');
    seconds.observe(elapsedMs / 1000);
    if (this.#isComplete(confirmed)) return;
    this.logger.warn('not every vault has confirmed; the others have lost the right to serve', {
      confirmed: [...confirmed],
      missing: this.#missing(confirmed),
    });
  }
}
