import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Clock, Logger, type OnServiceReady } from '@postern/service';

import { Directory } from './directory.ts';
import { PendingCredentials } from './pending-credentials.ts';
import { vaultLimits } from './vault-limits.ts';

/** Throws away the token sets of sessions that nobody completed in time, tenant by tenant. */
@Injectable()
export class PendingSweeper implements OnServiceReady, OnApplicationShutdown {
  #timer: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(
    private readonly clock: Clock,
    private readonly directory: Directory,
    private readonly pending: PendingCredentials,
    private readonly logger: Logger,
  ) {}

  onServiceReady(): void {
    this.#timer = setInterval(() => {
      this.#sweeping = this.#sweeping.then(() => this.sweep());
    }, vaultLimits.pendingSweepIntervalMs).unref();
  }

  /** Never rejects: the next turn does what this one could not. */
  async sweep(): Promise<void> {
    try {
      const now = new Date(this.clock.nowMs());
      for (const tenantId of this.directory.tenantIds()) await this.pending.removeExpired(tenantId, now);
    } catch (error) {
      this.logger.warn('pending credentials were not swept', { err: error });
    }
  }

  async onApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }
}
