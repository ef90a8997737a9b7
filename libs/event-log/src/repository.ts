import {
  isPosternError,
  newId,
  PosternError,
  timestampOf,
  type Actor,
  type Commit,
  type StoredEvent,
} from '@postern/contracts';

import { subjectOf } from './aggregate.ts';
import type { CommitReader, LogEntry, LogProblem } from './commit-reader.ts';
import { earlierCommits, trueCommit } from './earlier-commits.ts';
import { encodeCommit, type EncodedCommit } from './encode-commit.ts';
import type { EventLog, StoredMessage } from './event-log.ts';
import type { AnyEvent, Evolver, Upcast } from './evolver.ts';
import { currentVersionsOnly, emptyLoaded, foldEntry, isOpening, loadedOf, openingOf, type Loaded } from './loaded.ts';
import { following, provenState } from './proven.ts';
import { pauseForReal, type AppendPolicy, type Pause } from './resolve-append.ts';
import type { CommitSigner } from './signing.ts';
import { SharedReads } from './shared-reads.ts';
import { LruCache } from './state-cache.ts';

/** An aggregate of the repository's kind. */
export interface AggregateRef {
  readonly tenantId: string;
  readonly id: string;
}

export interface RepositoryOptions<State, Event extends AnyEvent> {
  readonly log: EventLog;
  readonly evolver: Evolver<State, Event>;
  readonly reader: CommitReader;
  /** Without it the repository only reads. */
  readonly signer?: CommitSigner | null | undefined;
  /** CloudEvents source, such as `/postern/refresh`. */
  readonly source: string;
  readonly upcast?: Upcast | undefined;
  /**
   * How many states stay in memory; 0 (none) by default. Only for a repository that a follower feeds by `observe`,
   * `observeProblem` and `forgetAll`: otherwise nobody would notice that a kept state is old.
   */
  readonly cacheEntriesMax?: number | undefined;
  readonly nowMs?: (() => number) | undefined;
  /** How often and how soon a decision that lost a race is taken again. */
  readonly conflictPolicy?: AppendPolicy | undefined;
  readonly pause?: Pause | undefined;
}

/** Positions between which commits are wanted, both included. */
export interface HistoryRange {
  readonly fromPosition?: number | undefined;
  readonly untilPosition?: number | undefined;
}

export interface ExecuteOptions {
  readonly actor: Actor;
  readonly correlationId: string;
  readonly causationId?: string | null | undefined;
  readonly traceparent?: string | undefined;
  /**
   * Decide on what the leader holds, not on a cached or a replica's state.
   *
   * Whoever appends does not need it: the append is refused when memory was old, and decided again. It is for what is
   * not decided by an append.
   */
  readonly fromLeader?: boolean | undefined;
}

export interface DecideContext<State> {
  /** Now, but never before the aggregate's last commit. */
  readonly nowMs: number;
  readonly loaded: Loaded<State>;
}

interface ReadOptions {
  readonly fromLeader?: boolean | undefined;
  /** Fold what the last commit carries from what is before it, rather than believe it. */
  readonly prove: boolean;
}

/** What was decided, and where it stands. */
export interface Executed<State, Event> {
  readonly state: State;
  readonly revision: number;
  readonly position: number;
  readonly events: readonly Event[];
  /** False when there was nothing to say: the command was a repeat. */
  readonly appended: boolean;
  readonly commitId?: string;
}

interface Decided<Event> {
  readonly events: readonly Event[];
  readonly nowMs: number;
  readonly options: ExecuteOptions;
}

/** A commit as it will stand after what was loaded. */
interface Made<State, Event> extends Pick<Decided<Event>, 'events' | 'nowMs'> {
  readonly loaded: Loaded<State>;
  readonly encoded: EncodedCommit;
  readonly commit: Commit;
  readonly state: State;
}

/** A lost race is decided again this often. */
export const conflictPolicyDefault: AppendPolicy = Object.freeze({
  attemptsMax: 8,
  retryDelayMsMin: 5,
  retryDelayMsMax: 250,
});

/** Loads, decides and appends: the one way to change an aggregate. */
export class Repository<State, Event extends AnyEvent> {
  readonly #options: RepositoryOptions<State, Event>;
  readonly #upcast: Upcast;
  readonly #cache: LruCache<Loaded<State>> | undefined;
  readonly #reads = new SharedReads<Loaded<State>>();
  /** Up to where the follower has shown an aggregate: what is older is not kept, since it would be shown nothing again. */
  readonly #shown: LruCache<number>;
  readonly #nowMs: () => number;
  readonly #conflictPolicy: AppendPolicy;
  readonly #pause: Pause;

  constructor(options: RepositoryOptions<State, Event>) {
    this.#options = options;
    this.#upcast = options.upcast ?? currentVersionsOnly;
    const cacheEntriesMax = options.cacheEntriesMax ?? 0;
    this.#cache = cacheEntriesMax > 0 ? new LruCache(cacheEntriesMax) : undefined;
    this.#shown = new LruCache(cacheEntriesMax);
    this.#nowMs = options.nowMs ?? Date.now;
    this.#conflictPolicy = options.conflictPolicy ?? conflictPolicyDefault;
    this.#pause = options.pause ?? pauseForReal;
  }

  /**
   * The aggregate as it stands: from memory, or by one direct get.
   *
   * @param options `fromLeader` asks the leader for the last commit and proves the state: use it wherever a secret is
   *   released.
   *   A repository with a cache does so for whatever it does not have, since a replica may lack what the follower has
   *   shown already; another one believes the state that the last commit carries.
   * @returns revision 0 when there is nothing.
   * @throws {PosternError} `log.version_unknown` when its last commit is from the future.
   */
  async load(ref: AggregateRef, options: { readonly fromLeader?: boolean | undefined } = {}): Promise<Loaded<State>> {
    const subject = this.subjectOf(ref);
    const cached = options.fromLeader === true ? undefined : this.#cache?.get(subject);
    if (cached !== undefined) return cached;
    if (options.fromLeader === true) return await this.#loadFromLeader(subject);
    const keeps = this.#cache !== undefined;
    const read = () => this.#loadOnce(subject, { fromLeader: keeps, prove: keeps });
    const loaded = await this.#reads.join(subject, read);
    return this.#isOvertaken(subject, loaded) ? await this.#loadFromLeader(subject) : loaded;
  }

  async #loadFromLeader(subject: string): Promise<Loaded<State>> {
    return await this.#reads.afresh(subject, () => this.#loadOnce(subject, { fromLeader: true, prove: true }));
  }

  async #loadOnce(subject: string, options: ReadOptions): Promise<Loaded<State>> {
    const loaded = await this.#read(subject, options);
    if (loaded.revision > 0) this.#remember(subject, loaded);
    return loaded;
  }

  /** The state in memory, where it is: for whoever answers at once or not at all. */
  peek(ref: AggregateRef): Loaded<State> | undefined {
    return this.#cache?.get(this.subjectOf(ref));
  }

  /** While this number stays the same, whatever was peeked at would be found again, just as it was. */
  get memoryChanges(): number {
    return this.#cache?.changes ?? 0;
  }

  /**
   * Loads, decides, appends; decides again when something else was written first.
   *
   * A refusal or a repeat that was decided on a cached state is decided again on the leader's, so that memory which lags
   * never refuses what is allowed by now. A repository with a cache asks the leader for whatever it does not have.
   *
   * @effect Appends one commit, durable once it resolves, or nothing when `decide` gives no events.
   * @throws {PosternError} what `decide` throws; `log.conflict` after the last attempt; `log.outcome_unknown`,
   *   `log.unavailable`, `log.commit_too_large`, `auth.forbidden`.
   */
  async execute(
    ref: AggregateRef,
    decide: (state: State, context: DecideContext<State>) => readonly Event[],
    options: ExecuteOptions,
  ): Promise<Executed<State, Event>> {
    const subject = this.subjectOf(ref);
    const cached = options.fromLeader === true ? undefined : this.#cache?.get(subject);
    if (cached !== undefined) {
      const done = await this.#attempt(ref, cached, { decide, options, final: false });
      if (done !== undefined) return done;
    }
    for (let attempt = 1; attempt <= this.#conflictPolicy.attemptsMax; attempt += 1) {
      // After memory, or a race, the newest counts: a replica may be as old as what was just not believed.
      const fromLeader = options.fromLeader === true || this.#cache !== undefined || attempt > 1;
      const loaded = await this.#read(subject, { fromLeader, prove: true });
      const done = await this.#attempt(ref, loaded, { decide, options, final: true });
      if (done !== undefined) return done;
      await this.#pause(this.#conflictPolicy, attempt);
    }
    throw new PosternError('log.conflict', `Every attempt on ${subject} lost its race.`);
  }

  /**
   * Decides about several aggregates, and appends all of what was decided or nothing of it.
   *
   * Each is decided on what the leader holds. Where one of them was written to meanwhile, all are decided again.
   *
   * @param changes at most `limits.togetherMax`, no aggregate twice; one whose decision has no events is left out
   * @effect Durable once it resolves.
   * @throws {PosternError} as {@link execute}
   */
  async executeTogether(
    changes: readonly {
      readonly ref: AggregateRef;
      readonly decide: (state: State, context: DecideContext<State>) => readonly Event[];
    }[],
    options: ExecuteOptions,
  ): Promise<Executed<State, Event>[]> {
    for (let attempt = 1; attempt <= this.#conflictPolicy.attemptsMax; attempt += 1) {
      const made = await Promise.all(
        changes.map(async ({ ref, decide }) => {
          const loaded = await this.#read(this.subjectOf(ref), { fromLeader: true, prove: true });
          const nowMs = Math.max(this.#nowMs(), loaded.atMs);
          const events = decide(loaded.state, { nowMs, loaded });
          return events.length === 0 ? { loaded } : await this.#made(ref, loaded, { events, nowMs, options });
        }),
      );
      const done = await this.#sendTogether(made);
      if (done !== undefined) return done;
      await this.#pause(this.#conflictPolicy, attempt);
    }
    throw new PosternError('log.conflict', 'Every attempt to change several aggregates together lost its race.');
  }

  /** Every commit of an aggregate in order. @throws {PosternError} `log.version_unknown` at one from the future. */
  async *history(ref: AggregateRef, range: HistoryRange = {}): AsyncIterable<LogEntry> {
    yield* this.#entries(this.subjectOf(ref), range);
  }

  /**
   * The state from events alone, without believing any carried state.
   *
   * @throws {PosternError} `log.message_damaged` when revisions or hashes do not follow one another.
   */
  async replay(
    ref: AggregateRef,
    options: { readonly untilPosition?: number | undefined } = {},
  ): Promise<Loaded<State>> {
    return await this.#fold(this.subjectOf(ref), options.untilPosition);
  }

  /**
   * The aggregate as it stood at a position: proven, without reading all of its life before it.
   *
   * @returns revision 0 when nothing stood there yet.
   * @throws {PosternError} `log.version_unknown` at a commit from the future.
   */
  async at(ref: AggregateRef, position: number): Promise<Loaded<State>> {
    const last = await this.#options.log.last(this.subjectOf(ref), { untilPosition: position });
    return last === undefined ? emptyLoaded(this.#options.evolver) : await this.#provenUpTo(last);
  }

  /**
   * The same of several, in their order: their last commits are found together. For such as were there by then: looking
   * for what was not, a log may go back to its beginning.
   *
   * @throws {PosternError} `log.version_unknown` at a commit from the future.
   */
  async atEach(refs: readonly AggregateRef[], position: number): Promise<Loaded<State>[]> {
    const { log, evolver } = this.#options;
    const subjects = refs.map((ref) => this.subjectOf(ref));
    const lasts = await log.lastOfEach(subjects, position);
    return await Promise.all(
      subjects.map(async (subject) => {
        const last = lasts.get(subject);
        return last === undefined ? emptyLoaded(evolver) : await this.#provenUpTo(last);
      }),
    );
  }

  /** Feeds the cache from a follower. Entries of other kinds are left alone. */
  observe(entry: LogEntry): void {
    if (this.#cache === undefined || entry.commit.aggregate !== this.#options.evolver.kind) return;
    this.#shown.set(entry.subject, entry.position);
    const { evolver } = this.#options;
    // What nobody has loaded would have to be proven first; the beginning, before which nothing stands, is proof enough.
    const before = this.#cache.get(entry.subject) ?? (entry.previousPosition === 0 ? emptyLoaded(evolver) : undefined);
    if (before === undefined || before.position >= entry.position) return;
    const after = following(before, entry, { evolver, upcast: this.#upcast });
    if (after === undefined) this.#cache.delete(entry.subject);
    else this.#cache.set(entry.subject, after);
  }

  /** A follower met a message that is not folded: what is cached of its aggregate may no longer be what counts. */
  observeProblem(problem: LogProblem): void {
    this.#cache?.delete(problem.subject);
  }

  /** After a jump or reconnect of the follower nothing cached can be relied upon. */
  forgetAll(): void {
    this.#cache?.clear();
  }

  subjectOf({ tenantId, id }: AggregateRef): string {
    return subjectOf({ tenantId, kind: this.#options.evolver.kind, id });
  }

  async #attempt(
    ref: AggregateRef,
    loaded: Loaded<State>,
    turn: {
      readonly decide: (state: State, context: DecideContext<State>) => readonly Event[];
      readonly options: ExecuteOptions;
      /** What is decided here counts, even if it is a refusal or nothing. */
      readonly final: boolean;
    },
  ): Promise<Executed<State, Event> | undefined> {
    const nowMs = Math.max(this.#nowMs(), loaded.atMs);
    let events: readonly Event[];
    try {
      events = turn.decide(loaded.state, { nowMs, loaded });
    } catch (error) {
      if (turn.final || !isPosternError(error)) throw error;
      return undefined;
    }
    if (events.length === 0) {
      const { state, revision, position } = loaded;
      return turn.final ? { state, revision, position, events, appended: false } : undefined;
    }
    return await this.#append(ref, loaded, { events, nowMs, options: turn.options });
  }

  async #append(ref: AggregateRef, loaded: Loaded<State>, decided: Decided<Event>) {
    const made = await this.#made(ref, loaded, decided);
    const position = await this.#send(made.encoded, loaded.expectedPosition);
    return position === undefined ? undefined : this.#appended(made, position);
  }

  /** Signed, and sent by nobody yet. */
  async #made(
    { tenantId, id }: AggregateRef,
    loaded: Loaded<State>,
    { events, nowMs, options }: Decided<Event>,
  ): Promise<Made<State, Event>> {
    const { evolver } = this.#options;
    const meta = { tenantId, aggregateId: id, atMs: nowMs, actor: options.actor };
    // What is folded and stored is what every reader will read, member by member: data that fit no schema are not written.
    const said = events.map((event) => this.#upcast(storedOf(event)) as Event);
    const state = said.reduce((folded, event) => evolver.evolve(folded, event, meta), loaded.state);
    const commit: Commit = {
      commitId: newId('commit'),
      tenantId,
      aggregate: evolver.kind,
      aggregateId: id,
      revision: loaded.revision + 1,
      at: timestampOf(nowMs),
      actor: options.actor,
      causationId: options.causationId ?? null,
      correlationId: options.correlationId,
      events: said.map(storedOf),
      stateVersion: evolver.stateVersion,
      state,
      previousHash: loaded.hash,
    };
    return { loaded, encoded: await this.#encode(commit, options.traceparent), commit, state, events: said, nowMs };
  }

  #appended({ encoded, commit, state, events, nowMs }: Made<State, Event>, position: number): Executed<State, Event> {
    const { revision, commitId } = commit;
    const { hash, subject } = encoded;
    this.#remember(subject, { state, revision, position, expectedPosition: position, hash, atMs: nowMs });
    return { state, revision, position, events, appended: true, commitId };
  }

  /** @returns undefined on a conflict. */
  async #sendTogether(
    all: readonly (Made<State, Event> | Pick<Made<State, Event>, 'loaded'>)[],
  ): Promise<Executed<State, Event>[] | undefined> {
    const made = all.filter((one) => 'encoded' in one);
    const requests = made.map(({ encoded: { hash: _hash, ...message }, loaded: { expectedPosition } }) => ({
      ...message,
      expectedPosition,
    }));
    const positions = await this.#unlessConflict(
      requests.map(({ subject }) => subject),
      async () => (requests.length === 0 ? [] : await this.#options.log.appendTogether(requests)),
    );
    if (positions === undefined) return undefined;
    const left = [...positions];
    return all.map((one) => {
      if ('encoded' in one) return this.#appended(one, left.shift() ?? 0);
      const { state, revision, position } = one.loaded;
      return { state, revision, position, events: [], appended: false };
    });
  }

  async #encode(commit: Commit, traceparent: string | undefined): Promise<EncodedCommit> {
    const { signer, source, reader } = this.#options;
    if (!signer) throw new PosternError('auth.forbidden', 'This service writes no commits.');
    const encoded = await encodeCommit(commit, { signer, source, traceparent });
    reader.made(commit, encoded);
    return encoded;
  }

  /** @returns undefined on a conflict. */
  async #send({ hash: _hash, ...message }: EncodedCommit, expectedPosition: number): Promise<number | undefined> {
    const append = async () => (await this.#options.log.append({ ...message, expectedPosition })).position;
    return await this.#unlessConflict([message.subject], append);
  }

  async #unlessConflict<T>(subjects: readonly string[], append: () => Promise<T>): Promise<T | undefined> {
    try {
      return await append();
    } catch (error) {
      for (const subject of subjects) this.#cache?.delete(subject);
      if (isPosternError(error) && error.code === 'log.conflict') return undefined;
      throw error;
    }
  }

  async #read(subject: string, { fromLeader, prove }: ReadOptions): Promise<Loaded<State>> {
    const { log, reader, evolver } = this.#options;
    // What is in memory is proven: the leader has only to say whether anything stands after it.
    const known = fromLeader === true ? this.#cache?.get(subject) : undefined;
    const message = await log.last(subject, { fromLeader, newerThan: known?.expectedPosition });
    if (message === undefined) return known ?? emptyLoaded(evolver);
    const entry = trueCommit(reader, message);
    if (entry !== undefined) {
      if (prove) return this.#fromMemory(entry) ?? (await this.#proven(entry, this.#earlier(message)));
      return entry.commit.stateVersion === evolver.stateVersion
        ? this.#carried(entry)
        : await this.#fold(subject, entry.position);
    }
    const loaded = await this.#provenUpTo(message);
    // Somebody wrote last who may not: the state is that of the last true commit, the append goes after the intruder.
    return { ...loaded, expectedPosition: message.position };
  }

  /** The state after a message, or, where that one does not count, after the last true commit before it. */
  async #provenUpTo(message: StoredMessage): Promise<Loaded<State>> {
    const { reader, evolver } = this.#options;
    const entry = trueCommit(reader, message);
    const earlier = this.#earlier(message);
    const last = entry ?? (await earlier.next()).value;
    return last === undefined ? emptyLoaded<State>(evolver) : await this.#proven(last, earlier);
  }

  /** What is in memory is proven: where the commit is that very one, or the next, nothing before it has to be read. */
  #fromMemory(entry: LogEntry): Loaded<State> | undefined {
    const cached = this.#cache?.get(entry.subject);
    if (cached === undefined) return undefined;
    if (cached.position === entry.position && cached.hash === entry.hash) return cached;
    return following(cached, entry, { evolver: this.#options.evolver, upcast: this.#upcast });
  }

  async #proven(last: LogEntry, earlier: AsyncIterable<LogEntry>): Promise<Loaded<State>> {
    return await provenState(last, {
      evolver: this.#options.evolver,
      upcast: this.#upcast,
      earlier,
      mayBegin: (position) => this.#mayBegin(position),
      fold: (untilPosition) => this.#fold(last.subject, untilPosition),
    });
  }

  #earlier({ subject, position, previousPosition }: StoredMessage): AsyncGenerator<LogEntry, undefined> {
    const { log, reader } = this.#options;
    return earlierCommits({ log, reader, subject, position, previousPosition });
  }

  async #fold(subject: string, untilPosition: number | undefined): Promise<Loaded<State>> {
    const { evolver } = this.#options;
    let loaded: Loaded<State> = emptyLoaded(evolver);
    for await (const entry of this.#entries(subject, { untilPosition })) {
      const isCut = loaded.revision === 0 && entry.commit.revision > 1 && (await this.#mayBegin(entry.position));
      // What the drop has left before the opening is a part of what is gone.
      if (isCut && !isOpening(entry.commit)) continue;
      const how = { evolver, upcast: this.#upcast };
      loaded = isCut ? openingOf(entry, how) : foldEntry(loaded, entry, how);
    }
    return loaded;
  }

  /** Only where the log's beginning was dropped, and up to where it was verified then: an opening later on is proven. */
  async #mayBegin(position: number): Promise<boolean> {
    const { firstPosition, verifiedUpTo } = await this.#options.log.beginning();
    return firstPosition > 1 && position <= verifiedUpTo;
  }

  async *#entries(subject: string, range: HistoryRange): AsyncIterable<LogEntry> {
    const { log, reader } = this.#options;
    for await (const message of log.read({ filter: subject, ...range })) {
      const entry = trueCommit(reader, message);
      if (entry !== undefined) yield entry;
    }
  }

  /** The state a commit carries: ours by its version, signed by a writer of the table. */
  #carried(entry: LogEntry): Loaded<State> {
    return loadedOf(entry, entry.commit.state as State);
  }

  /** Has the follower shown something newer while this was being read? */
  #isOvertaken(subject: string, { expectedPosition }: Loaded<State>): boolean {
    return (this.#shown.get(subject) ?? 0) > expectedPosition;
  }

  #remember(subject: string, loaded: Loaded<State>): void {
    if (this.#isOvertaken(subject, loaded)) return;
    const cached = this.#cache?.get(subject);
    if (cached === undefined || cached.position <= loaded.position) this.#cache?.set(subject, loaded);
  }
}

function storedOf({ type, version, data }: AnyEvent): StoredEvent {
  return { type, version, data: { ...data } };
}
