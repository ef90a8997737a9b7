import { randomBytes } from 'node:crypto';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, type AccessRecord } from '@postern/contracts';
import { signReceipt, type CommitSigner, type RecordPlace } from '@postern/event-log';
import { AccessGroupWriter, Bus } from '@postern/nats';
import { Logger, Metrics, ServiceIdentity, ServiceKeys, withCall } from '@postern/service';

/** What a record is given up with once its connection ended: whatever waits for it would be refused in the end. */
export const overtaken = new PosternError(
  'vault.audit_unavailable',
  'The connection ended while the record of its use was written.',
);

const inside = { kind: 'internal' } as const;

/** The records of leases, many a message, under a name that no process had before. */
@Injectable()
export class LeaseRecords implements OnApplicationShutdown {
  readonly #writer: AccessGroupWriter;
  readonly #signer: CommitSigner;

  constructor(bus: Bus, { instanceId }: ServiceIdentity, { signer }: ServiceKeys, logger: Logger, metrics: Metrics) {
    this.#signer = signer;
    const observe = metrics.histogram('postern.lease.record.duration').observer({});
    this.#writer = new AccessGroupWriter({
      bus,
      signer,
      writer: `${instanceId}-${randomBytes(6).toString('hex')}`.slice(-60),
      onWaited: (waitedMs) => observe(waitedMs / 1_000),
      onError: (error) => logger.error('lease records go on under a new name', { err: error }),
    });
  }

  /**
   * Resolves when the record is durable, with where it stands.
   *
   * @param meanwhile done while it is being stored
   * @throws {PosternError} `vault.audit_unavailable`; {@link overtaken} where the connection ended meanwhile
   */
  record(record: AccessRecord, meanwhile?: () => void): Promise<RecordPlace> {
    return withCall('postern.lease.record', () => this.#writer.record(record, meanwhile), inside);
  }

  /** Nothing of this connection is given any more: nobody need wait for a record to hear that. */
  connectionEnded(connectionId: string): void {
    this.#writer.stopWaitingFor(connectionId, overtaken);
  }

  /** The promise that it stands there, for whoever asked for it. */
  receipt(record: AccessRecord, place: RecordPlace): string {
    return signReceipt(record, place, this.#signer);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#writer.drain();
  }
}
