import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, provenStreams, streams, type ProvenStream } from '@postern/contracts';
import { CheckpointKeeper, type CheckpointRound, type EventLog, type LogFinding } from '@postern/event-log';
import { EventLogs, Logger, Metrics, type Counter, type OnServiceReady } from '@postern/service';

import { AuditConfig } from '../audit-config.ts';
import { FollowedLogs } from '../past/followed-logs.ts';

interface Kept {
  readonly stream: ProvenStream;
  readonly keeper: CheckpointKeeper;
  size: number;
  /** When a round had come to the end of the stream, monotonic; the start before the first. */
  completeAtMs: number;
  /** What was signed last. */
  note: string | undefined;
  /** What was found last: an alarm is raised once, not once a round. */
  found: string;
}

/**
 * Signs the head of each stream's tree, again and again, for `notifier` to take out of the house. A log that is not what
 * was signed gets no further head, and an alarm.
 */
@Injectable()
export class KeepCheckpoints implements OnServiceReady, OnApplicationShutdown {
  readonly #config: AuditConfig;
  readonly #logger: Logger;
  readonly #findings: Counter;
  readonly #kept: readonly Kept[];
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;

  constructor(config: AuditConfig, logs: EventLogs, followed: FollowedLogs, metrics: Metrics, logger: Logger) {
    this.#config = config;
    this.#logger = logger;
    this.#findings = metrics.counter('postern.audit.checkpoint.findings');
    this.#kept = keepersOf(config, { ...followed.standing, checkpoints: logs.checkpoints });
    const told = (read: (kept: Kept) => number) => () =>
      this.#kept.map((kept) => [{ stream: streams[kept.stream].name }, read(kept)] as const);
    metrics.gauge(
      'postern.audit.checkpoint.size',
      told(({ size }) => size),
    );
    metrics.gauge(
      'postern.audit.lag',
      told(({ completeAtMs }) => (performance.now() - completeAtMs) / 1_000),
    );
  }

  onServiceReady(): void {
    if (this.#kept.length === 0) {
      this.#logger.warn('no checkpoints are made: POSTERN_CHECKPOINT_KEY_FILE is not set');
      return;
    }
    this.#begin();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    await this.#working;
  }

  #begin(): void {
    this.#working = this.#all().finally(() => {
      if (this.#stopping.signal.aborted) return;
      this.#timer = setTimeout(() => this.#begin(), this.#config.checkpointIntervalMs);
    });
  }

  /** Never rejects. */
  async #all(): Promise<void> {
    for (const kept of this.#kept) {
      try {
        while (!this.#stopping.signal.aborted && this.#note(kept, await kept.keeper.round()));
      } catch (error) {
        // Another instance was first, or the log does not answer: the next round goes on from what stands.
        if (isPosternError(error) && error.code === 'log.conflict') continue;
        this.#logger.error('the log could not be checkpointed', { stream: streams[kept.stream].name, err: error });
      }
    }
  }

  /** @returns whether there is more to be taken at once. */
  #note(kept: Kept, { newest, more, findings }: CheckpointRound): boolean {
    this.#alarm(kept, findings);
    if (!more && findings.length === 0) kept.completeAtMs = performance.now();
    if (newest === undefined || newest.note === kept.note) return more;
    kept.size = newest.size;
    kept.note = newest.note;
    return more;
  }

  #alarm(kept: Kept, findings: readonly LogFinding[]): void {
    const found = JSON.stringify(findings);
    if (found === kept.found) return;
    kept.found = found;
    const stream = streams[kept.stream].name;
    for (const finding of findings) {
      this.#findings.add(1, { stream, kind: finding.kind });
      this.#logger.error('the log is not what was checkpointed', { stream, ...finding });
    }
  }
}

function keepersOf(
  { trust, checkpointKey, checkpointPreviousKey }: AuditConfig,
  { checkpoints, ...logs }: Readonly<Record<ProvenStream | 'checkpoints', EventLog>>,
): Kept[] {
  const { log } = trust;
  if (checkpointKey === undefined || log === undefined) return [];
  const keys = checkpointPreviousKey === undefined ? [checkpointKey] : [checkpointKey, checkpointPreviousKey];
  return provenStreams.map((stream) => ({
    stream,
    keeper: new CheckpointKeeper({ stream, log: logs[stream], checkpoints, trust: log, keys }),
    size: 0,
    completeAtMs: performance.now(),
    note: undefined,
    found: '[]',
  }));
}
