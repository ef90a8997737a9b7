import type { ConnectionEventType } from '@postern/contracts';
import type { LogEntry } from '@postern/event-log';
import { tellConsequence, type Clock, type Histogram, type Metrics } from '@postern/service';

import type { LeaseRecords } from './lease/lease-records.ts';

/** After one of these no lease of the connection is granted. */
const endings: ReadonlySet<string> = new Set<ConnectionEventType>([
  'ConnectionRevoked',
  'ConnectionSuspended',
  'DeletionRequested',
  'ReauthorizationRequired',
]);

/**
 * Refuses at once what is under way when a commit ends the right to lease, and tells how long that took from the commit:
 * as a number, and as the last span of the trace that began with a webhook, a report or a person.
 */
export class Refusals {
  readonly #seconds: Histogram;
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #records: Pick<LeaseRecords, 'connectionEnded'>;

  constructor(metrics: Metrics, clock: Pick<Clock, 'nowMs'>, records: Pick<LeaseRecords, 'connectionEnded'>) {
    this.#records = records;
    this.#seconds = metrics.histogram('postern.revocation.to_refusal');
    this.#clock = clock;
  }

  /** To be called when the state in memory is that of after the commit. */
  observe({ commit, position, timeMs, traceparent }: LogEntry): void {
    const ending = commit.events.find(({ type }) => endings.has(type));
    if (ending === undefined) return;
    this.#records.connectionEnded(commit.aggregateId);
    // The writer's clock may be ahead of ours.
    this.#seconds.observe(Math.max(0, this.#clock.nowMs() - Math.min(timeMs, Date.parse(commit.at))) / 1_000);
    tellConsequence(traceparent, 'postern.connection.refused', {
      'postern.connection.id': commit.aggregateId,
      'postern.event.type': ending.type,
      'postern.log.position': position,
    });
  }
}
