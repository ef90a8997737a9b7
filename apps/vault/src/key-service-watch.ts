import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { KeyService } from '@postern/keyring';
import { Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { KeyServiceHolder } from './data-keys.ts';
import { vaultLimits } from './vault-limits.ts';

/**
 * Asks the key service how it is, and tells it: in the log when that changes, and at `/readyz`.
 *
 * A vault whose key service is away stays up: what is in memory goes on, and it heals by itself.
 */
@Injectable()
export class KeyServiceWatch implements OnServiceReady, OnApplicationShutdown {
  readonly #keyService: KeyService;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #watching: Promise<void> = Promise.resolve();
  #problem: string | undefined = 'not asked yet';

  constructor(holder: KeyServiceHolder, logger: Logger, readiness: ReadinessRegistry) {
    this.#keyService = holder.keyService;
    this.#logger = logger;
    readiness.add('key_service', () => this.#problem ?? true);
  }

  onServiceReady(): void {
    this.#watching = this.#watch();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#watching;
    await this.#keyService.close();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#look();
      await delay(vaultLimits.keyServiceCheckIntervalMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { kind } = this.#keyService;
    const problem = await this.#keyService.status().then(
      ({ ready, reason = 'no reason given' }) => (ready ? undefined : reason),
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === undefined) this.#logger.info('the key service is ready', { kind });
    else this.#logger.warn('the key service is not ready; what is in memory goes on', { kind, reason: problem });
  }
}
