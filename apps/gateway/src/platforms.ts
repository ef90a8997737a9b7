import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { limits, PosternError, subjects } from '@postern/contracts';
import { platformEvolver, tenantEvolver, upcast, type Platform, type Tenant } from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView, type Upcast } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

/** Who may call: tenants and platforms as ADMIN has them, followed live, so that disabling one is felt at once. */
@Injectable()
export class Platforms implements OnServiceReady, OnApplicationShutdown {
  readonly #tenants: StateView<Tenant>;
  readonly #platforms: StateView<Platform>;
  readonly #follower: DirectoryFollower;

  constructor(logs: EventLogs, reader: CommitReader, readiness: ReadinessRegistry, logger: Logger) {
    const shared = { log: logs.admin, reader, upcast: upcast as Upcast };
    this.#tenants = new StateView({ ...shared, evolver: tenantEvolver });
    this.#platforms = new StateView({ ...shared, evolver: platformEvolver });
    this.#follower = new DirectoryFollower({
      log: logs.admin,
      reader,
      filter: subjects.allAdmin,
      views: [this.#tenants, this.#platforms],
      onProblem: (problem) => logger.error('a message on ADMIN is not folded', { ...problem }),
      onFailure: (error) => logger.error('following ADMIN failed', { err: error }),
    });
    readiness.addFeed('platforms', this.#follower);
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    await this.#follower.ready({ timeoutMs: limits.requestTimeoutMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#follower.stop();
  }

  /** The platform, as long as it and its tenant are enabled. */
  enabled({ tenantId, platformId }: { tenantId: string; platformId: string }): Platform | undefined {
    this.#assertFresh();
    const platform = this.#platforms.get({ tenantId, id: platformId })?.state;
    return platform !== undefined && this.#isEnabled(platform) ? platform : undefined;
  }

  /** The platform that authenticates by its id alone, whichever tenant's it is. */
  enabledClient(clientId: string): Platform | undefined {
    this.#assertFresh();
    for (const { state } of this.#platforms.values()) {
      if (state.platformId === clientId) return this.#isEnabled(state) ? state : undefined;
    }
    return undefined;
  }

  #isEnabled({ tenantId, disabled }: Platform): boolean {
    return !disabled && this.#tenants.get({ tenantId, id: tenantId })?.state.disabled === false;
  }

  #assertFresh(): void {
    if (this.#follower.isFresh()) return;
    throw new PosternError('service.not_ready', 'The gateway cannot prove that it knows who is disabled.');
  }
}
