import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import { CommitReader, Follower, type LogEntry, type WaitOptions } from '@postern/event-log';
import { Clock, EventLogs, Logger, Metrics, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { Connections } from './connections.ts';
import { LeaseRecords } from './lease/lease-records.ts';
import { Refusals } from './refusals.ts';
import { vaultLimits } from './vault-limits.ts';

/** Keeps the states in memory up to date, and knows when it cannot prove that it does. */
@Injectable()
export class ConnectionFeed implements OnServiceReady, OnApplicationShutdown {
  readonly #follower: Follower;

  constructor(
    logs: EventLogs,
    reader: CommitReader,
    connections: Connections,
    clock: Clock,
    logger: Logger,
    metrics: Metrics,
    readiness: ReadinessRegistry,
    records: LeaseRecords,
  ) {
    const refusals = new Refusals(metrics, clock, records);
    const problems = metrics.counter('postern.log.problems');
    this.#follower = new Follower({
      log: logs.connections,
      reader,
      filter: subjects.allConnections,
      from: 'end',
      onEntry: (entry) => {
        connections.observe(entry);
        refusals.observe(entry);
      },
      onProblem: (problem) => {
        problems.add(1, { kind: problem.kind });
        logger.error('a message on the connection log is not folded', { ...problem });
        connections.observeProblem(problem);
      },
      onReset: () => connections.forgetAll(),
      onFailure: (error) => logger.error('the connection feed has failed', { err: error }),
    });
    readiness.addFeed('connections', this.#follower);
  }

  /** Up to here everything was applied. */
  get position(): number {
    return this.#follower.position;
  }

  /** @throws {PosternError} `vault.feed_stale`: a revocation might be unknown here. */
  assertFresh(): void {
    if (this.#follower.isFresh()) return;
    throw new PosternError('vault.feed_stale', 'The connection log was not proved to be read to its end.');
  }

  /** @throws {PosternError} `bus.timeout` */
  async waitForPosition(position: number, timeoutMs: number): Promise<void> {
    await this.#follower.waitForPosition(position, { timeoutMs });
  }

  /** The next commit that fits, once memory has it; `fits` must not throw. @throws {PosternError} `bus.timeout`, `bus.unavailable` */
  async waitForEntry(fits: (entry: LogEntry) => boolean, options: WaitOptions): Promise<LogEntry> {
    return await this.#follower.waitForEntry(fits, options);
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    await this.#follower.waitForProof({ timeoutMs: vaultLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#follower.stop();
  }
}
