import { setTimeout as delay } from 'node:timers/promises';

import { isId, PosternError, type AdminAggregate } from '@postern/contracts';
import { upcast, type Evolver } from '@postern/domain';
import { DirectoryFollower, StateView, type CommitReader } from '@postern/event-log';
import type { EventLogs, Logger, ReadinessRegistry } from '@postern/service';

import { revocationLimits } from './revocation-limits.ts';

const { catchUpIntervalMs, catchUpWaitMs } = revocationLimits;

interface AdminViewOptions<State, Event> {
  readonly logs: EventLogs;
  readonly reader: CommitReader;
  readonly logger: Logger;
  readonly readiness: ReadinessRegistry;
  readonly kind: AdminAggregate;
  readonly evolver: Evolver<State, Event>;
}

/** Every aggregate of one kind on ADMIN by its id alone: who calls from outside knows no tenant. */
export class AdminView<State extends { readonly exists: boolean }, Event extends { readonly type: string }> {
  readonly #kind: AdminAggregate;
  readonly #view: StateView<State>;
  readonly #directory: DirectoryFollower;
  readonly #tenantOf = new Map<string, string>();
  #nextLook: Promise<void> | undefined;

  constructor({ logs, reader, logger, readiness, kind, evolver }: AdminViewOptions<State, Event>) {
    this.#kind = kind;
    this.#view = new StateView({ log: logs.admin, reader, upcast, evolver: evolver as never });
    this.#directory = new DirectoryFollower({
      log: logs.admin,
      reader,
      filter: `admin.*.${kind}.*`,
      views: [this.#view],
      onEntry: ({ commit }) => void this.#tenantOf.set(commit.aggregateId, commit.tenantId),
      onProblem: (problem) => logger.error('a message on the admin log is not folded', { ...problem }),
      onFailure: (error) => logger.error('the admin feed has failed', { err: error }),
    });
    readiness.addFeed(`${kind}s`, this.#directory);
  }

  /**
   * What is not known yet may have been written a moment ago, so it is looked up again at the end of the log, however
   * many strangers ask for what was never there.
   *
   * @returns undefined when there is no such aggregate.
   * @throws {PosternError} `service.not_ready` while the feed is stale
   */
  async find(id: string): Promise<State | undefined> {
    if (!isId(this.#kind, id)) return undefined;
    if (!this.#directory.isFresh()) {
      throw new PosternError('service.not_ready', 'The admin log was not proved to be read to its end.');
    }
    const known = this.#known(id);
    if (known !== undefined) return known;
    await this.#caughtUp();
    return this.#known(id);
  }

  /** All that are known now. */
  all(): State[] {
    return [...this.#tenantOf.keys()].map((id) => this.#known(id)).filter((state) => state !== undefined);
  }

  async onServiceReady(): Promise<void> {
    await this.#directory.start();
    await this.#directory.ready({ timeoutMs: revocationLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#directory.stop();
  }

  #known(id: string): State | undefined {
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
