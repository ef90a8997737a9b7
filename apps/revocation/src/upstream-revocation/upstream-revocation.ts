import { Controller } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import { CommitReader, type LogEntry } from '@postern/event-log';
import type { WorkMessage } from '@postern/nats';
import { Logger, Works } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';
import { retryDelayMs } from './retry-plan.ts';
import { UpstreamDebt, type Next } from './upstream-debt.ts';

const { upstreamConcurrencyMax, upstreamWorkingIntervalMs } = revocationLimits;
const endings: ReadonlySet<string> = new Set(['ConnectionRevoked', 'DeletionRequested']);

/**
 * Works off what follows from the end of a connection, from a durable consumer over the log: a crash between a
 * revocation and the provider's hearing of it loses nothing, and a redelivery finds it done.
 */
@Controller()
export class UpstreamRevocation {
  constructor(
    private readonly reader: CommitReader,
    private readonly debt: UpstreamDebt,
    private readonly logger: Logger,
  ) {}

  @Works('upstreamRevocation', { concurrencyMax: upstreamConcurrencyMax, parses: false })
  async tell(_payload: unknown, message: WorkMessage): Promise<void> {
    const read = this.reader.read(message);
    // Written by a newer release: its instances work off the same consumer.
    if (read.kind === 'future') return message.nak(retryDelayMs(message));
    // What is not a commit is counted and alarmed by the watch of `audit`; nobody is told anything because of it.
    if (read.kind !== 'commit' || !read.entry.commit.events.some(({ type }) => endings.has(type))) return;
    const beat = setInterval(() => message.working(), upstreamWorkingIntervalMs);
    try {
      const next = await this.#settle(read.entry, message);
      if (next.kind === 'again') message.nak(next.delayMs);
    } finally {
      clearInterval(beat);
    }
  }

  /** A debt is never given up because of our own troubles: whatever failed, the message comes back. */
  async #settle(entry: LogEntry, message: WorkMessage): Promise<Next> {
    const { deliveries } = message;
    try {
      return await this.debt.settle({ entry, deliveries });
    } catch (error) {
      const delayMs = retryDelayMs({ deliveries });
      const level = isPosternError(error) && error.row.retry !== 'never' ? 'warn' : 'error';
      const { tenantId, aggregateId: connectionId } = entry.commit;
      this.logger[level]('an ended connection waits', { err: error, tenantId, connectionId, delayMs, deliveries });
      return { kind: 'again', delayMs };
    }
  }
}
