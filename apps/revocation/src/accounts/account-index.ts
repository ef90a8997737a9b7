import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { connectionEvolver } from '@postern/domain';
import { CommitReader, Follower, type LogEntry, type StoredMessage } from '@postern/event-log';
import { Clock, EventLogs, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { Connections } from '../connections.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { accountFactOf, AccountRows, type AccountFact, type AccountMatch } from './account-rows.ts';

const { indexBatchMax, indexRetryMs, indexWaitMs } = revocationLimits;

/** Only these change what the index holds. */
const telling: ReadonlySet<string> = new Set([
  'ConnectionAuthorized',
  'ConnectionReauthorized',
  'DeletionRequested',
  'EpochOpened',
]);

/**
 * Finds the connections of an account that a signal names, by keyed digests.
 *
 * Filled from the log and from nothing else: it remembers how far it has read beside what it has written, so that a
 * database which is lost, or restored from last week's copy, goes on from where that copy stood. Without any such place
 * the last message of every connection is read, since each carries the whole state.
 */
@Injectable()
export class AccountIndex implements OnServiceReady, OnApplicationShutdown {
  readonly #waker: Follower;
  readonly #stopping = new AbortController();
  #position = -1;
  #wake = Promise.withResolvers<void>();
  #read = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  constructor(
    private readonly rows: AccountRows,
    private readonly logs: EventLogs,
    private readonly reader: CommitReader,
    private readonly connections: Connections,
    private readonly clock: Clock,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    const wake = () => this.#wake.resolve();
    this.#waker = new Follower({
      log: logs.connections,
      reader,
      filter: subjects.allConnections,
      from: 'end',
      onEntry: wake,
      onProblem: wake,
      onReset: wake,
    });
    metrics.gauge('postern_account_index_position', 'How far the log was read for the index of accounts', () =>
      Math.max(0, this.#position),
    );
  }

  /**
   * Every connection of a registration under one of these digests, after all that stood in the log when it was asked.
   *
   * @throws {PosternError} `signal.index_unavailable` when the database or the log cannot be reached in time
   */
  async find(
    registration: { readonly tenantId: string; readonly registrationId: string },
    digests: readonly string[],
  ): Promise<AccountMatch[]> {
    await this.#readUntil(await this.logs.connections.head(subjects.allConnections));
    return await this.rows.find(registration, digests);
  }

  async onServiceReady(): Promise<void> {
    await this.#waker.start();
    this.#running = this.#run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    this.#wake.resolve();
    await this.#waker.stop();
    await this.#running;
  }

  async #readUntil(position: number): Promise<void> {
    const deadlineMs = this.clock.monotonicMs() + indexWaitMs;
    while (this.#position < position) {
      this.#wake.resolve();
      const leftMs = deadlineMs - this.clock.monotonicMs();
      if (leftMs <= 0) throw new PosternError('signal.index_unavailable', 'The index has not read the log so far.');
      const timer = new AbortController();
      await Promise.race([
        this.#read.promise,
        delay(leftMs, undefined, { signal: timer.signal }).catch(() => undefined),
      ]);
      timer.abort();
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      try {
        await this.#readOn();
        await this.#wake.promise;
      } catch (error) {
        this.logger.warn('the index of accounts waits', { err: error });
        await delay(indexRetryMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
  }

  /** From where the database stands, which another instance may have moved on, to the end of the log. */
  async #readOn(): Promise<void> {
    const known = await this.rows.readUntil();
    const isNew = known === null;
    const from = isNew ? { lastPerSubject: true } : { fromPosition: known + 1 };
    const batch: AccountFact[] = [];
    let position = known ?? 0;
    for await (const message of this.logs.connections.read({ filter: subjects.allConnections, ...from })) {
      const fact = await this.#factIn(message, isNew);
      if (fact !== undefined) batch.push(fact);
      position = Math.max(position, message.position);
      if (batch.length >= indexBatchMax) {
        await this.rows.put(batch.splice(0));
        // Of last messages alone no part may count as read: what follows it would tell changes, and not what they changed.
        if (!isNew) await this.#reached(position);
      }
      if (this.#stopping.signal.aborted) return;
    }
    await this.rows.put(batch);
    await this.#reached(position);
  }

  async #reached(position: number): Promise<void> {
    if (position > this.#position) await this.rows.keepReadUntil(position);
    this.#position = position;
    this.#read.resolve();
    this.#read = Promise.withResolvers<void>();
  }

  async #factIn(message: StoredMessage, isState: boolean): Promise<AccountFact | undefined> {
    const read = this.reader.read(message);
    if (read.kind === 'commit') return await this.#factOf(read.entry, isState);
    if (read.kind === 'future') throw new PosternError('log.version_unknown', read.reason);
    // Whoever may not write has written: what the connection is stands before it.
    if (read.kind !== 'foreign' || !isState) return undefined;
    const [, , tenantId, id] = message.subject.split('.');
    if (tenantId === undefined || id === undefined) return undefined;
    const { state, revision } = await this.connections.load({ tenantId, id });
    return revision === 0 ? undefined : accountFactOf(state, message.position);
  }

  async #factOf({ commit, position }: LogEntry, isState: boolean): Promise<AccountFact | undefined> {
    if (!isState && !commit.events.some(({ type }) => telling.has(type))) return undefined;
    if (commit.stateVersion === connectionEvolver.stateVersion)
      return accountFactOf(commit.state as Connection, position);
    const { state } = await this.connections.load({ tenantId: commit.tenantId, id: commit.aggregateId });
    return accountFactOf(state, position);
  }
}
