import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { subjects } from '@postern/contracts';
import { rolloutEvolver, upcast, type Rollout } from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { refreshLimits } from './refresh-limits.ts';

/** What tenants decided about the versions of providers' files, in memory: each plan of each connection looks at it. */
@Injectable()
export class Rollouts implements OnServiceReady, OnApplicationShutdown {
  readonly #view: StateView<Rollout>;
  readonly #follower: DirectoryFollower;

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    this.#view = new StateView({ log: logs.admin, reader, upcast, evolver: rolloutEvolver });
    this.#follower = new DirectoryFollower({
      ...{ log: logs.admin, reader, filter: subjects.allRollouts },
      views: [this.#view],
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the feed of rollouts has failed', { err: error }),
    });
    readiness.addFeed('rollouts', this.#follower);
  }

  /**
   * @returns undefined where the tenant never decided anything
   * @throws {PosternError} `log.version_unknown`, `service.not_ready` where it cannot be read
   */
  of(tenantId: string, providerId: string): Rollout | undefined {
    return this.#view.get({ tenantId, id: providerId })?.state;
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    await this.#follower.ready({ timeoutMs: refreshLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#follower.stop();
  }
}
