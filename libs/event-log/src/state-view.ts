import { PosternError } from '@postern/contracts';

import { aggregateOf } from './aggregate.ts';
import type { CommitReader, LogEntry, LogProblem } from './commit-reader.ts';
import type { EventLog } from './event-log.ts';
import type { AnyEvent, Evolver, Upcast } from './evolver.ts';
import { Follower, type FollowerOptions } from './follower.ts';
import { loadedOf, type Loaded } from './loaded.ts';
import { Repository, type AggregateRef } from './repository.ts';

export interface StateViewOptions<State, Event extends AnyEvent> {
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly evolver: Evolver<State, Event>;
  readonly upcast?: Upcast | undefined;
}

type Slot<State> =
  | { readonly kind: 'known'; readonly loaded: Loaded<State> }
  /** Being read from the log: the last message did not tell the state by itself. */
  | { readonly kind: 'reading'; readonly position: number }
  /** Its last commit is from the future. */
  | { readonly kind: 'stopped'; readonly position: number; readonly reason: string };

/** Every aggregate of one kind in memory, kept by a follower: the directory of ADMIN. */
export class StateView<State, Event extends AnyEvent = AnyEvent> {
  readonly #slots = new Map<string, Slot<State>>();
  readonly #evolver: Evolver<State, Event>;
  readonly #repository: Repository<State, Event>;
  readonly #reading = new Set<Promise<void>>();

  constructor({ log, reader, evolver, upcast }: StateViewOptions<State, Event>) {
    this.#evolver = evolver;
    this.#repository = new Repository({ log, reader, evolver, upcast, source: '/postern/view' });
  }

  /**
   * @returns undefined when there is no such aggregate.
   * @throws {PosternError} `log.version_unknown` when it stopped at a commit from the future; `service.not_ready` while
   *   it is being read.
   */
  get(ref: AggregateRef | string): Loaded<State> | undefined {
    const slot = this.#slots.get(typeof ref === 'string' ? ref : this.#repository.subjectOf(ref));
    if (slot === undefined || slot.kind === 'known') return slot?.loaded;
    if (slot.kind === 'reading') throw new PosternError('service.not_ready', 'The state is being read.');
    throw new PosternError('log.version_unknown', `At position ${slot.position}: ${slot.reason}.`);
  }

  /** Every state that is known, with its subject. */
  *values(): IterableIterator<Loaded<State> & { readonly subject: string }> {
    for (const [subject, slot] of this.#slots) if (slot.kind === 'known') yield { subject, ...slot.loaded };
  }

  apply(entry: LogEntry): void {
    if (entry.commit.aggregate !== this.#evolver.kind) return;
    if (entry.commit.stateVersion === this.#evolver.stateVersion) {
      const loaded = loadedOf(entry, entry.commit.state as State);
      this.#slots.set(entry.subject, { kind: 'known', loaded });
    } else {
      this.#read(entry.subject, entry.position);
    }
  }

  applyProblem({ kind, subject, position, reason }: LogProblem): void {
    if (aggregateOf(subject)?.kind !== this.#evolver.kind) return;
    if (kind === 'future') this.#slots.set(subject, { kind: 'stopped', position, reason });
    else if (!this.#slots.has(subject)) this.#read(subject, position);
  }

  /** Resolves once nothing is being read. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading);
  }

  #read(subject: string, position: number): void {
    const aggregate = aggregateOf(subject);
    if (aggregate === undefined) return;
    this.#slots.set(subject, { kind: 'reading', position });
    const reading = this.#repository
      .load(aggregate, { fromLeader: true })
      .then(
        (loaded): Slot<State> => ({ kind: 'known', loaded }),
        (error: unknown): Slot<State> => ({ kind: 'stopped', position, reason: String(error) }),
      )
      .then((slot) => {
        this.#reading.delete(reading);
        const current = this.#slots.get(subject);
        if (current?.kind !== 'reading' || current.position !== position) return;
        if (slot.kind === 'known' && slot.loaded.revision === 0) this.#slots.delete(subject);
        else this.#slots.set(subject, slot);
      });
    this.#reading.add(reading);
  }
}

export interface DirectoryFollowerOptions extends Omit<FollowerOptions, 'from' | 'onEntry'> {
  readonly views: readonly Pick<StateView<unknown>, 'apply' | 'applyProblem' | 'settled'>[];
  /** After the views have applied it. */
  readonly onEntry?: ((entry: LogEntry) => void) | undefined;
}

/** One follower for several views: the last message of each aggregate first, then everything as it comes. */
export class DirectoryFollower {
  readonly #follower: Follower;
  readonly #views: DirectoryFollowerOptions['views'];

  constructor({ views, onEntry, onProblem, ...options }: DirectoryFollowerOptions) {
    this.#views = views;
    this.#follower = new Follower({
      ...options,
      from: { lastPerSubject: true },
      onEntry: (entry) => {
        for (const view of views) view.apply(entry);
        onEntry?.(entry);
      },
      onProblem: (problem) => {
        for (const view of views) view.applyProblem(problem);
        onProblem?.(problem);
      },
    });
  }

  get follower(): Follower {
    return this.#follower;
  }

  async start(): Promise<void> {
    await this.#follower.start();
  }

  async stop(): Promise<void> {
    await this.#follower.stop();
  }

  isFresh(): boolean {
    return this.#follower.isFresh();
  }

  feedAgeMs(): number {
    return this.#follower.feedAgeMs();
  }

  /** Resolves once everything stored before the call is in the views. @throws {PosternError} `bus.timeout` */
  async ready({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    await this.#follower.waitForProof({ timeoutMs });
    await Promise.all(this.#views.map((view) => view.settled()));
  }
}
