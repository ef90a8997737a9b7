import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isId, PosternError } from '@postern/contracts';
import { registrationEvolver, upcast, type Registration } from '@postern/domain';
import { CommitReader, DirectoryFollower, StateView } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';

const { catchUpIntervalMs, catchUpWaitMs } = revocationLimits;
const allRegistrations = 'admin.*.registration.*';

/**
 * Every client registration by its id alone: a provider that calls knows no tenant. Disabled ones too, since what was
 * granted through them can still end.
 */
@Injectable()
export class Registrations implements OnServiceReady, OnApplicationShutdown {
  readonly #view: StateView<Registration>;
  readonly #directory: DirectoryFollower;
  readonly #tenantOf = new Map<string, string>();
  #nextLook: Promise<void> | undefined;

  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    this.#view = new StateView({ log: logs.admin, reader, upcast, evolver: registrationEvolver });
    this.#directory = new DirectoryFollower({
      log: logs.admin,
      reader,
      filter: allRegistrations,
      views: [this.#view],
      onEntry: ({ commit }) => void this.#tenantOf.set(commit.aggregateId, commit.tenantId),
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.add('registrations', () => (this.#directory.isFresh() ? true : 'the feed is not proved fresh'));
  }

  /**
   * What is not known yet may have been written a moment ago, so it is looked up again at the end of the log, however
   * many strangers ask for what was never there.
   *
   * @returns undefined when there is no such registration.
   * @throws {PosternError} `service.not_ready` while the feed is stale
   */
  async find(registrationId: string): Promise<Registration | undefined> {
    if (!isId('registration', registrationId)) return undefined;
    if (!this.#directory.isFresh()) {
      throw new PosternError('service.not_ready', 'The admin log was not proved to be read to its end.');
    }
    const known = this.#known(registrationId);
    if (known !== undefined) return known;
    await this.#caughtUp();
    return this.#known(registrationId);
  }

  async onServiceReady(): Promise<void> {
    await this.#directory.start();
    await this.#directory.ready({ timeoutMs: revocationLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }

  #known(id: string): Registration | undefined {
    const tenantId = this.#tenantOf.get(id);
    const state = tenantId === undefined ? undefined : this.#view.get({ tenantId, id })?.state;
    return state?.exists === true ? state : undefined;
  }

  /** All who ask within a moment share one look, which begins after each of them has asked. */
  async #caughtUp(): Promise<void> {
    this.#nextLook ??= delay(catchUpIntervalMs).then(async () => {
      this.#nextLook = undefined;
      await this.#directory.ready({ timeoutMs: catchUpWaitMs });
    });
    await this.#nextLook;
  }
}
