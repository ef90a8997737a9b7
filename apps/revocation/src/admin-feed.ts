import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import {
  bridgeEvolver,
  registrationEvolver,
  rolloutEvolver,
  transmitterEvolver,
  upcast,
  type Rollout,
} from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { revocationLimits } from './revocation-limits.ts';

const { catchUpIntervalMs, catchUpWaitMs, feedReadyWaitMs } = revocationLimits;

/** Who is known from ADMIN, by kind: read once for all who ask. */
@Injectable()
export class AdminFeed implements OnServiceReady, OnApplicationShutdown {
  readonly views;
  /** The tenant of each aggregate, by kind and id: who calls from outside knows none. */
  readonly tenants = {
    bridge: new Map<string, string>(),
    registration: new Map<string, string>(),
    transmitter: new Map<string, string>(),
  };
  readonly #rollouts: StateView<Rollout>;
  readonly #directory: DirectoryFollower;
  #nextLook: Promise<void> | undefined;

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    const source = { log: logs.admin, reader, upcast };
    this.views = {
      bridge: new StateView({ ...source, evolver: bridgeEvolver }),
      registration: new StateView({ ...source, evolver: registrationEvolver }),
      transmitter: new StateView({ ...source, evolver: transmitterEvolver }),
    };
    this.#rollouts = new StateView({ ...source, evolver: rolloutEvolver });
    this.#directory = new DirectoryFollower({
      ...{ log: logs.admin, reader, filter: subjects.allAdmin },
      views: [...Object.values(this.views), this.#rollouts],
      onEntry: ({ commit: { aggregate, aggregateId, tenantId } }) => {
        if (aggregate in this.tenants) this.tenants[aggregate as keyof AdminFeed['tenants']].set(aggregateId, tenantId);
      },
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.addFeed('directory', this.#directory);
  }

  /** @throws {PosternError} `service.not_ready` while the feed is stale */
  requireFresh(): void {
    if (!this.#directory.isFresh()) {
      throw new PosternError('service.not_ready', 'The admin log was not proved to be read to its end.');
    }
  }

  /**
   * What the tenant decided about the versions of a provider's file, as far as it was read; undefined: nothing.
   *
   * @throws {PosternError} `log.version_unknown`, `service.not_ready` where it cannot be read
   */
  rollout(tenantId: string, providerId: string): Rollout | undefined {
    return this.#rollouts.get({ tenantId, id: providerId })?.state;
  }

  /**
   * Resolves when everything is known that stood in the log before the call. All who ask within a moment share one look,
   * which begins after each of them has asked.
   */
  async caughtUp(): Promise<void> {
    this.#nextLook ??= delay(catchUpIntervalMs).then(async () => {
      this.#nextLook = undefined;
      await this.#directory.ready({ timeoutMs: catchUpWaitMs });
    });
    await this.#nextLook;
  }

  async onServiceReady(): Promise<void> {
    await this.#directory.start();
    await this.#directory.ready({ timeoutMs: feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }
}
