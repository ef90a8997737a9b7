import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { subjects } from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, Follower, LogVerifier, type LogFinding } from '@postern/event-log';
import { EventLogs, Logger, Metrics, ReadinessRegistry, type OnServiceReady } from '@postern/service';

/**
 * Verifies both logs as they grow, from their first message on: signatures, writers, revisions, hash chain, carried
 * states. What does not hold is alarmed at once, long before somebody asks `postern audit verify`.
 */
@Injectable()
export class WatchLog implements OnServiceReady, OnApplicationShutdown {
  readonly #followers: Follower[];

  constructor(
    logs: EventLogs,
    reader: CommitReader,
    metrics: Metrics,
    readiness: ReadinessRegistry,
    private readonly logger: Logger,
  ) {
    const findings = metrics.counter('postern_log_findings_total', 'Messages of the log that are not as they must be');
    const report = (stream: string) => (finding: LogFinding) => {
      findings.add(1, { stream, kind: finding.kind });
      logger.error('the log is not whole', { stream, ...finding });
    };
    this.#followers = [
      this.#follow(logs.connections, { reader, filter: subjects.allConnections, report: report('CONNECTIONS') }),
      this.#follow(logs.admin, { reader, filter: subjects.allAdmin, report: report('ADMIN') }),
    ];
    readiness.add('log feed', () => (this.#followers.every((one) => one.isFresh()) ? true : 'the feed is stale'));
  }

  async onServiceReady(): Promise<void> {
    for (const follower of this.#followers) await follower.start();
  }

  async onApplicationShutdown(): Promise<void> {
    for (const follower of this.#followers) await follower.stop();
  }

  #follow(
    log: EventLogs['connections'],
    { reader, filter, report }: { reader: CommitReader; filter: string; report: (finding: LogFinding) => void },
  ): Follower {
    const verifier = new LogVerifier({ evolverOf, upcast: upcast });
    return new Follower({
      log,
      reader,
      filter,
      from: 'start' as const,
      onEntry: (entry) => verifier.entry(entry).forEach(report),
      onProblem: report,
      onFailure: (error) => this.logger.error('the watch over the log ended', { err: error }),
    });
  }
}
