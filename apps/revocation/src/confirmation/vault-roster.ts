import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Bus, instancesOf } from '@postern/nats';
import { Clock, Logger, type OnServiceReady } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';

/**
 * Which vaults there are. One that does not show itself any more is remembered for a while: it may only be cut off
 * from us, and still be serving others.
 */
@Injectable()
export class VaultRoster implements OnServiceReady, OnApplicationShutdown {
  readonly #seenAtMs = new Map<string, number>();
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(bus: Bus, clock: Clock, logger: Logger) {
    this.#bus = bus;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** The instances of all vaults seen lately. */
  known(): string[] {
    const eldestMs = this.#clock.monotonicMs() - revocationLimits.vaultRememberedMs;
    for (const [instance, seenAtMs] of this.#seenAtMs) if (seenAtMs < eldestMs) this.#seenAtMs.delete(instance);
    return [...this.#seenAtMs.keys()];
  }

  /** Looks who is there now. Never rejects: who could not be asked is simply not seen. */
  async look(): Promise<void> {
    try {
      const found = await instancesOf(this.#bus, 'vault', { timeoutMs: revocationLimits.vaultLookWaitMs });
      for (const { id, metadata } of found) this.#saw(metadata['instance'] ?? id);
    } catch (error) {
      this.#logger.debug('it could not be asked which vaults there are', { err: error });
    }
  }

  async onServiceReady(): Promise<void> {
    await this.look();
    this.#lookLater();
  }

  onApplicationShutdown(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #saw(instance: string): void {
    if (!this.#seenAtMs.has(instance) && this.#seenAtMs.size >= revocationLimits.vaultsRememberedMax) return;
    this.#seenAtMs.set(instance, this.#clock.monotonicMs());
  }

  #lookLater(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(
      () => void this.look().then(() => this.#lookLater()),
      revocationLimits.vaultLookIntervalMs,
    );
    this.#timer.unref();
  }
}
