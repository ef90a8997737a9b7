import { setTimeout as delay } from 'node:timers/promises';

import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { connectionEvolver } from '@postern/domain';
import { CommitReader, Follower, SharedReads, type LogEntry, type StoredMessage } from '@postern/event-log';
import { Clock, EventLogs, Logger, Metrics, type OnServiceReady } from '@postern/service';

import { Connections } from '../connections.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { accountFactOf, AccountRows, type AccountFact, type AccountMatch, type AccountQuery } from './account-rows.ts';

const { indexBatchMax, indexRetryMs, indexWaitMs, indexPageMax, indexUnkeptMax } = revocationLimits;

/** Only these change what the index holds. */
const tellingEvents: ReadonlySet<string> = new Set([
  'ConnectionAuthorized',
  'ConnectionReauthorized',
  'DeletionRequested',
  'EpochOpened',
]);

const tells = ({ events }: LogEntry['commit']): boolean => events.some(({ type }) => tellingEvents.has(type));

/** Whom a signal names: the registration that it speaks for, and the digests of the accounts. */
export type Named = Pick<AccountQuery, 'registration' | 'digests'>;

/**
 * Finds the connections of an account that a signal names, by keyed digests.
 *
 * Filled from the log and from nothing else: it remembers how far it has read beside what it has written, so that a
 * database which is lost, or restored from last week's copy, goes on from where that copy stood. Without any such place
 * the last message of every connection is read, since each carries the whole state.
 *
 * A follower tells when there is something to write. What it shows in between, which is nearly everything, changes no row:
 * then the index stands where the follower does, and nothing is read or written.
 */
@Injectable()
export class AccountIndex implements OnServiceReady, OnApplicationShutdown {
  readonly #follower: Follower;
  readonly #heads = new SharedReads<number>();
  readonly #stopping = new AbortController();
  /** Up to here the log was read and written down. */
  #position = -1;
  /** The last message that the follower has shown and that changes rows, as far as it can tell. */
  #tellingPosition = 0;
  /** Whether the log was read to its end since the follower began, or lost its place: beyond there it shows everything. */
  #joins = false;
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
    const telling = (position: number) => {
      this.#tellingPosition = position;
      this.#wake.resolve();
    };
    this.#follower = new Follower({
      log: logs.connections,
      reader,
      filter: subjects.allConnections,
      from: 'end',
      onEntry: ({ commit, position }) => {
        if (tells(commit)) telling(position);
        else if (position - this.#position > indexUnkeptMax) this.#wake.resolve();
      },
      onProblem: ({ position }) => telling(position),
      onReset: () => {
        this.#joins = false;
        this.#wake.resolve();
      },
    });
    metrics.gauge('postern.account_index.position', () => Math.max(0, this.#standsAt()));
  }

  /**
   * Every connection under one of these digests, some at a time: those at once that are known by now, and then what else
   * stood in the log when it was asked. Most signals name nobody who was authorized a moment ago, and wait for nothing.
   *
   * @throws {PosternError} `signal.index_unavailable` when the database or the log cannot be reached in time
   */
  async *find(named: Named): AsyncGenerator<AccountMatch[], void> {
    const known = this.#standsAt();
    const until = this.#headNow();
    until.catch(() => undefined);
    if (known >= 0) yield* this.#pages(named, { after: -1, until: known });
    await this.#readUntil(await until);
    const now = this.#standsAt();
    if (this.#tellsBetween(known, now)) yield* this.#pages(named, { after: known, until: now });
  }

  async onServiceReady(): Promise<void> {
    await this.#follower.start();
    this.#running = this.#run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    this.#wake.resolve();
    await this.#follower.stop();
    await this.#running;
  }

  async *#pages(named: Named, written: AccountQuery['written']): AsyncGenerator<AccountMatch[], void> {
    for (let afterId = '', more = true; more;) {
      const page = await this.rows.find({ ...named, written, afterId, limit: indexPageMax });
      if (page.length > 0) yield page;
      more = page.length === indexPageMax;
      afterId = page.at(-1)?.connectionId ?? afterId;
    }
  }

  /** Where the log ends, asked after this was: all who ask meanwhile share one answer. */
  async #headNow(): Promise<number> {
    return await this.#heads.afresh('head', async () => await this.logs.connections.head(subjects.allConnections));
  }

  /** All that the log says up to here about accounts stands in the rows. */
  #standsAt(): number {
    const followed = this.#follower.position;
    return this.#joins && this.#tellingPosition <= this.#position ? Math.max(followed, this.#position) : this.#position;
  }

  /** Whether a row may have changed by what stands in between. */
  #tellsBetween(after: number, until: number): boolean {
    return after < 0 || this.#tellingPosition > after || until > this.#follower.position || !this.#joins;
  }

  async #readUntil(position: number): Promise<void> {
    const deadlineMs = this.clock.monotonicMs() + indexWaitMs;
    while (this.#standsAt() < position) {
      const leftMs = deadlineMs - this.clock.monotonicMs();
      if (leftMs <= 0) throw new PosternError('signal.index_unavailable', 'The index has not read the log so far.');
      const timer = new AbortController();
      const waits = [this.#read.promise, delay(leftMs, undefined, { signal: timer.signal }).catch(() => undefined)];
      if (this.#follower.position >= position) this.#wake.resolve();
      else waits.push(this.#follower.waitForPosition(position, { timeoutMs: leftMs }).catch(() => undefined));
      await Promise.race(waits);
      timer.abort();
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = Promise.withResolvers<void>();
      try {
        const followed = this.#standsAt();
        if (followed > this.#position) await this.#reached(followed);
        else await this.#readOn();
        await this.#wake.promise;
      } catch (error) {
        this.logger.warn('the index of accounts waits', { err: error });
        await delay(indexRetryMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
  }

  /** From where the database stands, which another instance may have moved on, to the end of the log. */
  async #readOn(): Promise<void> {
    const resets = this.#follower.counters.resets;
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
    this.#joins = resets === this.#follower.counters.resets;
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
    if (!isState && !tells(commit)) return undefined;
    if (commit.stateVersion === connectionEvolver.stateVersion)
      return accountFactOf(commit.state as Connection, position);
    const { state } = await this.connections.load({ tenantId: commit.tenantId, id: commit.aggregateId });
    return accountFactOf(state, position);
  }
}
