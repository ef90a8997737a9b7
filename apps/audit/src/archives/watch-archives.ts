import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { streams } from '@postern/contracts';
import { CheckpointReader } from '@postern/event-log';
import { Clock, EventLogs, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { AuditConfig } from '../audit-config.ts';
import { epochOverdueMs, recordsOverdueMs } from './overdue.ts';

/** Archives are a matter of days. */
const lookMs = 60_000;
const watched = ['connections', 'access'] as const;
type Watched = (typeof watched)[number];

/**
 * Says for how long a stream has held what should have been archived and dropped. `postern epochs keep` does that from a
 * timer of its own, and a timer that has stopped tells nobody.
 */
@Injectable()
export class WatchArchives implements OnServiceReady, OnApplicationShutdown {
  /** Nothing is told of a stream before it was looked at. */
  readonly #overdueMs = new Map<Watched, number>();
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    private readonly config: AuditConfig,
    private readonly logs: EventLogs,
    private readonly clock: Clock,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    metrics.gauge('postern.audit.archive.overdue', () =>
      [...this.#overdueMs].map(([stream, ms]) => [{ stream: streams[stream].name }, ms / 1_000] as const),
    );
  }

  onServiceReady(): void {
    this.#running = this.#watch();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #watch(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      for (const stream of watched) {
        try {
          this.#overdueMs.set(stream, await this.#look(stream));
        } catch (error) {
          // What was told last stays: an alarm does not end because nobody could look.
          this.logger.warn('what should be archived cannot be looked up', { stream: streams[stream].name, err: error });
        }
      }
      await this.clock.sleep(lookMs, { signal }).catch(() => undefined);
    }
  }

  async #look(stream: Watched): Promise<number> {
    const standing = await this.logs.epochs(stream);
    const nowMs = this.clock.nowMs();
    const timeAt = async (position: number) => (await this.logs[stream].at(position))?.timeMs;
    const { epochMaxAgeMs, accessMaxAgeMs } = this.config;
    const archivableUpTo = await this.#archivableUpTo(stream, standing);
    return stream === 'connections'
      ? await epochOverdueMs(standing, { nowMs, timeAt, maxAgeMs: epochMaxAgeMs, archivableUpTo })
      : await recordsOverdueMs({ nowMs, timeAt, maxAgeMs: accessMaxAgeMs, archivableUpTo });
  }

  /** As `postern epochs archive` does. Where no key signs checkpoints nobody could, and what is overdue is told all the same. */
  async #archivableUpTo(
    stream: Watched,
    { firstPosition, lastPosition }: { readonly firstPosition: number; readonly lastPosition: number },
  ): Promise<number | undefined> {
    const { log } = this.config.trust;
    if (lastPosition < firstPosition) return undefined;
    if (log === undefined) return firstPosition;
    const reader = new CheckpointReader(log, stream);
    const { checkpoints } = this.logs;
    const first = await reader.from(firstPosition, checkpoints);
    const { checkpoint: newest } = await reader.newest(checkpoints);
    const size = first?.checkpoint.size;
    return size === undefined || size >= (newest?.size ?? 0) ? undefined : size;
  }
}
