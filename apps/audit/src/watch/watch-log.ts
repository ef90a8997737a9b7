import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, PosternError, subjects } from '@postern/contracts';
import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, Follower, LogVerifier, type LogFinding, type WaitOptions } from '@postern/event-log';
import { EventLogs, Logger, Metrics, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { AuditConfig } from '../audit-config.ts';
import { AppearanceSnapshots } from '../past/appearance-snapshots.ts';
import { Appearances } from '../past/appearances.ts';
import { PastLogs } from '../past/past-logs.ts';
import { FirstPass } from './first-pass.ts';

/**
 * Verifies both logs as they grow, from their first message on: signatures, writers, revisions, hash chain, carried
 * states. What does not hold is alarmed at once, long before somebody asks `postern audit verify`. Where the beginning was
 * dropped it begins with what still stands, and reads in the archive which connections there were; or it recalls that from
 * snapshots.
 *
 * It reads all of the log after each start: what was changed while nobody watched is found by that alone. Nobody waits for it.
 */
@Injectable()
export class WatchLog implements OnServiceReady, OnApplicationShutdown {
  readonly #connections: Follower;
  readonly #followers: readonly Follower[];
  readonly #passes: readonly FirstPass[];
  readonly #verifiers: LogVerifier[] = [];
  #verifiedUpTo = 0;
  /** Resolves once the connections of the archive are known. */
  #archived: Promise<void> = Promise.resolve();
  readonly #snapshots: AppearanceSnapshots | undefined;

  constructor(
    private readonly logs: EventLogs,
    private readonly reader: CommitReader,
    metrics: Metrics,
    readiness: ReadinessRegistry,
    private readonly logger: Logger,
    private readonly appearances: Appearances,
    private readonly pastLogs: PastLogs,
    { snapshotDir: folder, snapshotPositions: positionsEach }: AuditConfig,
  ) {
    const onProblem = (problem: string) => logger.error('a snapshot is made anew', { problem });
    this.#snapshots =
      folder === undefined
        ? undefined
        : new AppearanceSnapshots({
            ...{ folder, positionsEach, whole: pastLogs.connections, reader, appearances, onProblem },
          });
    const findings = metrics.counter('postern.audit.findings');
    const report = (stream: string) => (finding: LogFinding) => {
      findings.add(1, { stream, kind: finding.kind });
      logger.error('the log is not whole', { stream, ...finding });
    };
    const connections = { reader, filter: subjects.allConnections, report: report('CONNECTIONS') };
    this.#connections = this.#follow(logs.connections, connections);
    const admin = this.#follow(logs.admin, { reader, filter: subjects.allAdmin, report: report('ADMIN') });
    this.#followers = [this.#connections, admin];
    const [connectionsPass, adminPass] = [new FirstPass(this.#connections), new FirstPass(admin)];
    this.#passes = [connectionsPass, adminPass];
    readiness.addFeed('connections', connectionsPass);
    readiness.addFeed('admin', adminPass);
  }

  async onServiceReady(): Promise<void> {
    const { firstPosition, verifiedUpTo } = await this.logs.connections.beginning();
    if (firstPosition > 1) this.#verifiedUpTo = verifiedUpTo;
    // Without its archive a log that was cut is another one to whoever asks.
    const isWhole = firstPosition === 1 || (await this.pastLogs.archivedConnections()) !== undefined;
    if (isWhole) await this.#snapshots?.recall(firstPosition);
    if (this.#snapshots?.isRecalled !== true) this.#archived = this.#noteArchived();
    // Whoever asks hears of it, too.
    this.#archived.catch((error: unknown) => this.logger.error('the archive cannot be read', { err: error }));
    for (const follower of this.#followers) await follower.start();
    for (const pass of this.#passes) pass.begin();
  }

  async onApplicationShutdown(): Promise<void> {
    for (const follower of this.#followers) await follower.stop();
    for (const verifier of this.#verifiers) verifier.close();
    await this.#snapshots?.settled();
  }

  /**
   * Resolves once the connections that appeared up to a position are known.
   *
   * @throws {PosternError} `service.not_ready` when that takes longer; `log.message_damaged` for an archive that is not what
   *   was archived.
   */
  async untilConnections(position: number, options: WaitOptions): Promise<void> {
    if (this.#snapshots?.isRecalled === true) {
      if (this.#connections.position >= position) this.#snapshots.watched(position);
      return await within(this.#snapshots.cover(position), 'CONNECTIONS is being read.', options);
    }
    await within(this.#archived, 'The archive of CONNECTIONS is being read.', options);
    try {
      await this.#connections.waitForPosition(position, options);
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'bus.timeout') throw error;
      const far = `CONNECTIONS was read up to position ${this.#connections.position} of ${position} so far.`;
      throw new PosternError('service.not_ready', far, { cause: error });
    }
  }

  async #noteArchived(): Promise<void> {
    const archive = await this.pastLogs.archivedConnections();
    if (archive === undefined) return;
    const earlier = new Appearances();
    const met = new Set<string>();
    for await (const message of archive.read({ filter: subjects.allConnections })) {
      // Of each only the first is looked at more closely.
      if (met.has(message.subject)) continue;
      const read = this.reader.read(message);
      if (read.kind !== 'commit' || read.entry.commit.revision !== 1) continue;
      met.add(message.subject);
      earlier.note(read.entry);
    }
    this.appearances.precede(earlier);
  }

  #follow(
    log: EventLogs['connections'],
    { reader, filter, report }: { reader: CommitReader; filter: string; report: (finding: LogFinding) => void },
  ): Follower {
    const verifier = new LogVerifier({ evolverOf, upcast });
    this.#verifiers.push(verifier);
    const isConnections = filter === subjects.allConnections;
    return new Follower({
      log,
      reader,
      filter,
      from: 'start' as const,
      onEntry: (entry) => {
        const begins = verifier.begin(entry, this.#verifiedUpTo);
        if (!begins) verifier.entry(entry).forEach(report);
        if (isConnections) this.#snapshots?.passed(entry);
        if (this.#snapshots?.isRefuted === true) return;
        if (begins || entry.commit.revision === 1) this.appearances.note(entry);
      },
      onProblem: report,
      onFailure: (error) => {
        for (const pass of this.#passes) pass.end();
        this.logger.error('the watch over the log ended', { err: error });
      },
    });
  }
}

/** @throws {PosternError} `service.not_ready` with these words, when it takes longer. */
async function within(work: Promise<void>, words: string, { timeoutMs }: WaitOptions): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new PosternError('service.not_ready', words)), timeoutMs);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
