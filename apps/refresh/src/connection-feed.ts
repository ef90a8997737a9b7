import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { subjects } from '@postern/contracts';
import { CommitReader, Follower, type LogEntry, type WaitOptions } from '@postern/event-log';
import { EventLogs, Logger, Metrics, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { ClaimWatch } from './claim/claim-watch.ts';
import { Connections } from './connections.ts';
import { refreshLimits } from './refresh-limits.ts';

/** Follows the connection log: waiters hang on it, claims are seen on it from their first moment. */
@Injectable()
export class ConnectionFeed implements OnServiceReady, OnApplicationShutdown {
  readonly #follower: Follower;

  constructor(
    logs: EventLogs,
    reader: CommitReader,
    connections: Connections,
    claims: ClaimWatch,
    logger: Logger,
    metrics: Metrics,
    readiness: ReadinessRegistry,
  ) {
    const problems = metrics.counter('postern.log.problems');
    this.#follower = new Follower({
      log: logs.connections,
      reader,
      filter: subjects.allConnections,
      // A claim that stands since before the start is watched from the start on, not from its due message's redelivery.
      from: { sinceMs: Date.now() - refreshLimits.claimsSeenBackMs },
      onEntry: (entry) => {
        connections.observe(entry);
        claims.observe(entry);
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

  /** The next commit that fits; `fits` must not throw. @throws {PosternError} `bus.timeout`, `bus.unavailable` */
  async waitForEntry(fits: (entry: LogEntry) => boolean, options: WaitOptions): Promise<LogEntry> {
    return await this.#follower.waitForEntry(fits, options);
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    await this.#follower.waitForProof({ timeoutMs: refreshLimits.feedReadyWaitMs });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#follower.stop();
  }
}
