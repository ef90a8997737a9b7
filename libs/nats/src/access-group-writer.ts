import { setTimeout as delay } from 'node:timers/promises';

import {
  accessSignatureContext,
  commitHeaders,
  limits,
  PosternError,
  streams,
  subjects,
  type AccessGroup,
  type AccessRecord,
} from '@postern/contracts';
import { signedMessage } from '@postern/crypto';
import { retryDelayMs, type AppendPolicy, type CommitSigner, type RecordPlace } from '@postern/event-log';

import type { Bus } from './bus.ts';
import { sendOnce } from './send.ts';

export interface AccessGroupWriterOptions {
  readonly bus: Bus;
  /** Signs each group as the app that records. */
  readonly signer: CommitSigner;
  /** This process: a name never used before, since its sequence begins at 1. */
  readonly writer: string;
  readonly groupRecordsMax?: number | undefined;
  readonly groupBytesMax?: number | undefined;
  /** Records that wait; beyond it a record is refused at once. */
  readonly queuedRecordsMax?: number | undefined;
  /** How long a record may take to become durable. */
  readonly recordWaitMs?: number | undefined;
  readonly ackTimeoutMs?: number | undefined;
  /** How long somebody waited for a record, until it was durable or he gave up. */
  readonly onWaited?: ((waitedMs: number) => void) | undefined;
  /** Its name had to be given up; it goes on under a new one. */
  readonly onError?: ((error: PosternError) => void) | undefined;
}

/** A record that nobody has an answer about yet. */
interface Waiting {
  /** As it will stand in its group. */
  readonly text: string;
  /** Whose use it grants. */
  readonly grants: string | undefined;
  readonly bytes: number;
  readonly dueMs: number;
  isWaiting: boolean;
  /** Until it is done, or nobody waits for it any more. */
  meanwhile: (() => void) | undefined;
  readonly resolve: (place: RecordPlace) => void;
  readonly reject: (error: unknown) => void;
}

interface Failed {
  readonly failure: PosternError;
}

const resendPolicy: AppendPolicy = Object.freeze({
  attemptsMax: Infinity,
  retryDelayMsMin: 20,
  retryDelayMsMax: 1_000,
});
/** After silence the stream's memory of message ids settles what was stored: not beyond half of its window. */
const silenceMsMax = streams.access.duplicateWindowMs / 2;

/** Bounds of one group, and of what waits for the next. A group waits for nobody: it is what came during the last one. */
export const accessGroupLimits = Object.freeze({
  groupRecordsMax: 256,
  groupBytesMax: limits.commitBytesMax,
  queuedRecordsMax: 10_000,
});

/**
 * Records who got what, many records a message, before anything is released.
 *
 * One group is in flight at a time and each has the next number, so a missing group shows. Throughput comes from the
 * group, not from a weaker acknowledgement: `record` resolves when its group is durable.
 */
export class AccessGroupWriter {
  readonly #options: AccessGroupWriterOptions;
  readonly #recordWaitMs: number;
  #queue: Waiting[] = [];
  /** The group that is being stored. */
  #group: Waiting[] = [];
  #generation = 1;
  #sequence = 0;
  #position = 0;
  #writing: Promise<void> | undefined;
  /** One timer for all: who waits longest is refused first. */
  #deadline: NodeJS.Timeout | undefined;

  constructor(options: AccessGroupWriterOptions) {
    this.#options = options;
    this.#recordWaitMs = options.recordWaitMs ?? limits.leaseRecordWaitMs;
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
   * Resolves when the record is durable, with where it stands.
   *
   * @param meanwhile done once its group is on its way and before this resolves, so that it takes no time of its own; not
   *   at all where nobody waits any more. What it throws, this rejects with.
   * @throws {PosternError} `vault.audit_unavailable` when it is not by the deadline, and what {@link stopWaitingFor} was
   *   told; it may still become so.
   */
  record(record: AccessRecord, meanwhile?: () => void): Promise<RecordPlace> {
    const { queuedRecordsMax = accessGroupLimits.queuedRecordsMax } = this.#options;
    if (this.#queue.length >= queuedRecordsMax) return Promise.reject(unavailable('Too many records wait.'));
    const text = JSON.stringify(record);
    const grants = record.outcome === 'granted' ? record.connectionId : undefined;
    const dueMs = performance.now() + this.#recordWaitMs;
    return new Promise((resolve, reject) => {
      const bytes = Buffer.byteLength(text);
      this.#queue.push({ text, grants, bytes, dueMs, isWaiting: true, meanwhile, resolve, reject });
      this.#writing ??= this.#write();
      this.#deadline ??= setTimeout(() => this.#refuseLate(), this.#recordWaitMs);
    });
  }

  /**
   * Whoever waits for a record that grants the use of this connection waits no longer; it is stored all the same.
   *
   * @param reason what `record` rejects with
   */
  stopWaitingFor(connectionId: string, reason: PosternError): void {
    for (const waiting of [this.#group, this.#queue].flat()) {
      if (waiting.grants === connectionId) this.#giveUp(waiting, reason);
    }
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }

  /** What was refused stays where it is, and is stored when that is possible: rejecting it twice changes nothing. */
  #refuseLate(): void {
    const nowMs = performance.now();
    let nextDueMs = Infinity;
    for (const waiting of [...this.#group, ...this.#queue]) {
      const { dueMs } = waiting;
      if (dueMs <= nowMs) this.#giveUp(waiting, unavailable(`It was not durable in ${this.#recordWaitMs} ms.`));
      else nextDueMs = Math.min(nextDueMs, dueMs);
    }
    this.#deadline =
      nextDueMs === Infinity ? undefined : setTimeout(() => this.#refuseLate(), Math.ceil(nextDueMs - nowMs));
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    // A turn later, so that records made together go together.
    await Promise.resolve();
    for (let begun = this.#begin(); begun !== undefined;) {
      const { group, storing } = begun;
      // Once this turn is over, the group is on the wire.
      const others = setImmediate(() => doMeanwhile(group));
      const stored = await storing;
      clearImmediate(others);
      // The next one is on its way before those of this one go on: they take their time, and it takes the disk's.
      begun = this.#begin();
      if ('failure' in stored) {
        for (const waiting of group) this.#giveUp(waiting, stored.failure);
        this.#options.onError?.(stored.failure);
        continue;
      }
      doMeanwhile(group);
      const nowMs = performance.now();
      for (const waiting of group) {
        this.#waited(waiting, nowMs);
        waiting.resolve(stored);
      }
    }
    // In the same turn as the last look at the queue: a record made later begins anew, and none is left lying.
    this.#writing = undefined;
  }

  /** Begins to store what waits; undefined where nothing does. */
  #begin(): { readonly group: Waiting[]; readonly storing: Promise<RecordPlace | Failed> } | undefined {
    const group = this.#queue.length === 0 ? [] : this.#takeGroup();
    this.#group = group;
    if (group.length === 0) return undefined;
    const storing = this.#store(group).catch((error: unknown) => ({
      failure: unavailable('The access log did not take the group.', error),
    }));
    return { group, storing };
  }

  #giveUp(waiting: Waiting, reason: PosternError): void {
    waiting.meanwhile = undefined;
    this.#waited(waiting, performance.now());
    waiting.reject(reason);
  }

  /** Tells it once of each, however often it is given up or stored. */
  #waited(waiting: Waiting, nowMs: number): void {
    if (!waiting.isWaiting) return;
    waiting.isWaiting = false;
    this.#options.onWaited?.(nowMs - (waiting.dueMs - this.#recordWaitMs));
  }

  #takeGroup(): Waiting[] {
    const { groupRecordsMax = accessGroupLimits.groupRecordsMax, groupBytesMax = accessGroupLimits.groupBytesMax } =
      this.#options;
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      bytes += waiting.bytes + 1;
      if (count > 0 && (count >= groupRecordsMax || bytes > groupBytesMax)) break;
      count += 1;
    }
    if (count < this.#queue.length) return this.#queue.splice(0, count);
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  /**
   * Stores one group, however long it takes. After silence it is sent again under the same id and without the expected
   * position: whether the first was stored cannot be read (only audit reads ACCESS), but the stream knows its ids.
   *
   * @throws {PosternError} `log.conflict` when the name has to be given up.
   */
  async #store(records: readonly Waiting[]): Promise<RecordPlace> {
    const { bus, signer, ackTimeoutMs = limits.leaseRecordWaitMs } = this.#options;
    const { writer } = this;
    const sequence = this.#sequence + 1;
    const subject = subjects.access({ service: signer.identity, writer });
    const payload = Buffer.from(groupText({ writer, sequence }, records));
    const request = {
      stream: streams.access.name,
      subject,
      payload,
      headers: {
        [commitHeaders.key]: signer.keyId,
        [commitHeaders.signature]: signer.sign(signedMessage(accessSignatureContext, subject, payload)),
      },
      messageId: `${writer}.${sequence}`,
      ackTimeoutMs,
    };
    let silentSinceMs = Infinity;
    for (let attempt = 1; ; attempt += 1) {
      const heard = silentSinceMs === Infinity;
      const outcome = await sendOnce(bus, { ...request, expectedPosition: heard ? this.#position : undefined });
      if (outcome.kind === 'stored' || (outcome.kind === 'duplicate' && !heard)) {
        this.#sequence = sequence;
        this.#position = outcome.position ?? this.#position;
        return { writer, sequence, position: outcome.position ?? null };
      }
      if (heard && outcome.kind === 'conflict') {
        // Certainly not stored: what the writer knew of its log is gone (dropped, when it was quiet for long) or forged.
        const lost = this.#giveUpName();
        this.#options.onError?.(lost);
        return await this.#store(records);
      }
      if (heard && outcome.kind === 'duplicate') throw this.#giveUpName();
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

/** An `AccessGroup`, of records that are text already. */
function groupText(head: Omit<AccessGroup, 'records'>, records: readonly Waiting[]): string {
  return `${JSON.stringify(head).slice(0, -1)},"records":[${records.map(({ text }) => text).join(',')}]}`;
}

/** What can be done before the acknowledgement is here; each once. */
function doMeanwhile(group: readonly Waiting[]): void {
  for (const waiting of group) {
    const { meanwhile } = waiting;
    waiting.meanwhile = undefined;
    try {
      meanwhile?.();
    } catch (error) {
      waiting.reject(error);
    }
  }
}

function unavailable(message: string, cause?: unknown): PosternError {
  return new PosternError('vault.audit_unavailable', message, { cause });
}
