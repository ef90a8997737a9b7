import { setTimeout as delay } from 'node:timers/promises';

import { limits, PosternError, streams, subjects, type AccessGroup, type AccessRecord } from '@postern/contracts';
import { retryDelayMs, type AppendPolicy } from '@postern/event-log';

import type { Bus } from './bus.ts';
import { sendOnce } from './send.ts';

export interface AccessGroupWriterOptions {
  readonly bus: Bus;
  /** The app that records. */
  readonly service: string;
  /** This process: a name never used before, since its sequence begins at 1. */
  readonly writer: string;
  readonly groupRecordsMax?: number | undefined;
  readonly groupBytesMax?: number | undefined;
  /** Records that wait; beyond it a record is refused at once. */
  readonly queuedRecordsMax?: number | undefined;
  /** How long a record may take to become durable. */
  readonly recordWaitMs?: number | undefined;
  readonly ackTimeoutMs?: number | undefined;
  /** Its name had to be given up; it goes on under a new one. */
  readonly onError?: ((error: PosternError) => void) | undefined;
}

interface Waiting {
  readonly record: AccessRecord;
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: PosternError) => void;
}

const resendPolicy: AppendPolicy = Object.freeze({
  attemptsMax: Infinity,
  retryDelayMsMin: 20,
  retryDelayMsMax: 1_000,
});
/** After silence the stream's memory of message ids settles what was stored: not beyond half of its window. */
const silenceMsMax = streams.access.duplicateWindowMs / 2;

/**
 * Records who got what, many records a message, before anything is released.
 *
 * One group is in flight at a time and each has the next number, so a missing group shows. Throughput comes from the
 * group, not from a weaker acknowledgement: `record` resolves when its group is durable.
 */
export class AccessGroupWriter {
  readonly #options: AccessGroupWriterOptions;
  readonly #queue: Waiting[] = [];
  #generation = 1;
  #sequence = 0;
  #position = 0;
  #writing: Promise<void> | undefined;

  constructor(options: AccessGroupWriterOptions) {
    this.#options = options;
  }

  /** The name under which groups stand; it changes when another wrote under it. */
  get writer(): string {
    const { writer } = this.#options;
    return this.#generation === 1 ? writer : `${writer}_${this.#generation}`;
  }

  /** The number of the last group that is durable. */
  get sequence(): number {
    return this.#sequence;
  }

  /**
   * Resolves when the record is durable.
   *
   * @throws {PosternError} `vault.audit_unavailable` when it is not by the deadline; it may still become so.
   */
  record(record: AccessRecord): Promise<void> {
    const { queuedRecordsMax = 10_000, recordWaitMs = limits.leaseRecordWaitMs } = this.#options;
    if (this.#queue.length >= queuedRecordsMax) return Promise.reject(unavailable('Too many records wait.'));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(unavailable(`It was not durable in ${recordWaitMs} ms.`)), recordWaitMs);
      this.#queue.push({
        record,
        bytes: Buffer.byteLength(JSON.stringify(record)),
        resolve: () => (clearTimeout(timer), resolve()),
        reject: (error) => (clearTimeout(timer), reject(error)),
      });
      this.#writing ??= this.#write();
    });
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    // A turn later, so that records made together go together.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.#store(group.map(({ record }) => record));
        for (const { resolve } of group) resolve();
      } catch (error) {
        const failure = unavailable('The access log did not take the group.', error);
        for (const { reject } of group) reject(failure);
        this.#options.onError?.(failure);
      }
    }
    // In the same turn as the last look at the queue: a record made later begins anew, and none is left lying.
    this.#writing = undefined;
  }

  #takeGroup(): Waiting[] {
    const { groupRecordsMax = 256, groupBytesMax = limits.commitBytesMax } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      bytes += waiting.bytes + 1;
      if (count > 0 && (count >= groupRecordsMax || bytes > groupBytesMax)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  /**
   * Stores one group, however long it takes. After silence it is sent again under the same id and without the expected
   * position: whether the first was stored cannot be read (only audit reads ACCESS), but the stream knows its ids.
   *
   * @throws {PosternError} `log.conflict` when the name has to be given up.
   */
  async #store(records: readonly AccessRecord[]): Promise<void> {
    const { bus, service, ackTimeoutMs = limits.leaseRecordWaitMs } = this.#options;
    const { writer } = this;
    const group: AccessGroup = { writer, sequence: this.#sequence + 1, records: [...records] };
    const request = {
      stream: streams.access.name,
      subject: subjects.access({ service, writer }),
      payload: Buffer.from(JSON.stringify(group)),
      messageId: `${writer}.${group.sequence}`,
      ackTimeoutMs,
    };
    let silentSinceMs = Infinity;
    for (let attempt = 1; ; attempt += 1) {
      const heard = silentSinceMs === Infinity;
      const outcome = await sendOnce(bus, { ...request, expectedPosition: heard ? this.#position : undefined });
      if (outcome.kind === 'stored' || (outcome.kind === 'duplicate' && !heard)) {
        this.#sequence = group.sequence;
        this.#position = outcome.position ?? this.#position;
        return;
      }
      if (heard && (outcome.kind === 'duplicate' || outcome.kind === 'conflict')) throw this.#giveUpName();
      if (outcome.kind === 'silent') silentSinceMs = Math.min(silentSinceMs, performance.now());
      if (performance.now() - silentSinceMs > silenceMsMax || bus.connection.isClosed()) throw this.#giveUpName();
      await delay(retryDelayMs(resendPolicy, attempt));
    }
  }

  #giveUpName(): PosternError {
    const error = new PosternError('log.conflict', `The writer ${this.writer} does not know where its log ends.`);
    this.#generation += 1;
    this.#sequence = 0;
    this.#position = 0;
    return error;
  }
}

function unavailable(message: string, cause?: unknown): PosternError {
  return new PosternError('vault.audit_unavailable', message, { cause });
}
