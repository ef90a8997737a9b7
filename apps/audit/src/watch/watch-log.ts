import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, PosternError, subjects } from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, Follower, LogVerifier, type LogFinding, type WaitOptions } from '@postern/event-log';
import { EventLogs, Logger, Metrics, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { Appearances } from '../past/appearances.ts';

/**
 * Verifies both logs as they grow, from their first message on: signatures, writers, revisions, hash chain, carried
 * states. What does not hold is alarmed at once, long before somebody asks `postern audit verify`.
 */
@Injectable()
export class WatchLog implements OnServiceReady, OnApplicationShutdown {
  readonly #connections: Follower;
  readonly #followers: Follower[];

  constructor(
    logs: EventLogs,
    reader: CommitReader,
    metrics: Metrics,
    readiness: ReadinessRegistry,
    private readonly logger: Logger,
    private readonly appearances: Appearances,
  ) {
    const findings = metrics.counter('postern.audit.findings');
    const report = (stream: string) => (finding: LogFinding) => {
      findings.add(1, { stream, kind: finding.kind });
      logger.error('the log is not whole', { stream, ...finding });
    };
    const connections = { reader, filter: subjects.allConnections, report: report('CONNECTIONS') };
    this.#connections = this.#follow(logs.connections, connections);
    const admin = this.#follow(logs.admin, { reader, filter: subjects.allAdmin, report: report('ADMIN') });
    this.#followers = [this.#connections, admin];
    readiness.addFeed('connections', this.#connections);
    readiness.addFeed('admin', admin);
  }

  async onServiceReady(): Promise<void> {
    for (const follower of this.#followers) await follower.start();
  }

  async onApplicationShutdown(): Promise<void> {
    for (const follower of this.#followers) await follower.stop();
  }

  /**
   * Resolves once the connections that appeared up to a position are known.
   *
   * @throws {PosternError} `service.not_ready` when that takes longer.
   */
  async untilConnections(position: number, options: WaitOptions): Promise<void> {
    try {
      await this.#connections.waitForPosition(position, options);
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'bus.timeout') throw error;
      const far = `CONNECTIONS was read up to position ${this.#connections.position} of ${position} so far.`;
      throw new PosternError('service.not_ready', far, { cause: error });
    }
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
      onEntry: (entry) => {
        verifier.entry(entry).forEach(report);
        this.appearances.note(entry);
      },
      onProblem: report,
      onFailure: (error) => this.logger.error('the watch over the log ended', { err: error }),
    });
  }
}
