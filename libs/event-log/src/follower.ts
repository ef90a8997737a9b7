import { limits, PosternError } from '@postern/contracts';

import type { CommitReader, LogEntry, LogProblem } from './commit-reader.ts';
import type { EventLog, LogSubscription, ReadRequest, StoredMessage } from './event-log.ts';
import { Waiters, type WaitOptions } from './waiters.ts';

/** Where a follower begins. */
export type FollowFrom =
  | 'start'
  | 'end'
  | { readonly position: number }
  | { readonly sinceMs: number }
  | { readonly lastPerSubject: true };

export interface FollowerOptions {
  readonly log: EventLog;
  readonly reader: CommitReader;
  /** A subject, wildcards allowed. */
  readonly filter: string;
  readonly from: FollowFrom;
  /** Applies a commit; it must not throw: an owner that cannot apply stops being fresh for ever. */
  readonly onEntry: (entry: LogEntry) => void;
  /** Met a message that is not folded: count it, raise the alarm, drop what is cached of its subject. */
  readonly onProblem?: ((problem: LogProblem) => void) | undefined;
  /** After a gap or reconnect: drop what was cached. */
  readonly onReset?: (() => void) | undefined;
  /** `onEntry` threw, or the feed ended: the follower is dead and stays stale. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
  readonly proofIntervalMs?: number | undefined;
  readonly staleMsMax?: number | undefined;
  /** Milliseconds that never go back; not the wall clock. */
  readonly monotonicNow?: (() => number) | undefined;
}

export interface FollowerCounters {
  readonly foreign: number;
  readonly damaged: number;
  readonly future: number;
  readonly resets: number;
}

/**
 * Follows the log in order and knows how fresh it is (DESIGN §4).
 *
 * A proof is: the head, asked of the leader, was reached. It holds as of the moment the question was asked, so an owner
 * whose newest proof is younger than `staleMsMax` cannot have missed anything older than that.
 */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #proofIntervalMs: number;
  readonly #staleMsMax: number;
  readonly #monotonicNow: () => number;
  readonly #positions = new Waiters<number>();
  readonly #entries = new Waiters<LogEntry>();
  readonly #counters = { foreign: 0, damaged: 0, future: 0, resets: 0 };
  #subscription: LogSubscription | undefined;
  #timer: NodeJS.Timeout | undefined;
  #position = 0;
  #provenAtMs = -Infinity;
  /** Proofs begun before the last reset prove nothing about what came after it. */
  #epoch = 0;
  #failed = false;
  #stopped = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#proofIntervalMs = options.proofIntervalMs ?? limits.feedProofIntervalMs;
    this.#staleMsMax = options.staleMsMax ?? limits.feedStaleMsMax;
    this.#monotonicNow = options.monotonicNow ?? (() => performance.now());
  }

  /** Where the last applied message stands: everything that matches up to here has been seen. */
  get position(): number {
    return this.#position;
  }

  get counters(): FollowerCounters {
    return { ...this.#counters };
  }

  /** Begins to follow; resolves as soon as the feed is set up, before it has caught up. */
  async start(): Promise<void> {
    await this.#subscribe(await this.#startingPoint(this.#options.from));
    if (!this.#stopped) void this.#prove();
  }

  /** @effect Ends the feed; waiters are rejected. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const error = new PosternError('bus.unavailable', 'The follower was stopped.');
    this.#positions.rejectAll(error);
    this.#entries.rejectAll(error);
    await this.#subscription?.stop();
  }

  /** Is the newest proof younger than the limit? Owners stop serving when it is not. */
  isFresh(): boolean {
    return !this.#stopped && !this.#failed && this.feedAgeMs() < this.#staleMsMax;
  }

  /** How long ago it was certain that nothing was missing; Infinity before the first proof. */
  feedAgeMs(): number {
    return this.#monotonicNow() - this.#provenAtMs;
  }

  /** Resolves once everything up to a position was applied. @throws {PosternError} `bus.timeout`, `bus.unavailable` */
  async waitForPosition(position: number, options: WaitOptions): Promise<void> {
    this.#assertRunning();
    if (this.#position >= position) return;
    await this.#positions.wait((applied) => (applied >= position ? true : undefined), options);
  }

  /** Resolves with the next applied commit that fits. @throws {PosternError} `bus.timeout`, `bus.unavailable` */
  async waitForEntry(fits: (entry: LogEntry) => boolean, options: WaitOptions): Promise<LogEntry> {
    this.#assertRunning();
    return await this.#entries.wait((entry) => (fits(entry) ? entry : undefined), options);
  }

  /** Resolves once a proof that begins now has succeeded: what was stored before the call is applied. */
  async waitForProof(options: WaitOptions): Promise<void> {
    await this.waitForPosition(await this.#options.log.head(this.#options.filter), options);
  }

  async #subscribe(start: Partial<ReadRequest>): Promise<void> {
    const { log, filter } = this.#options;
    const subscription = await log.subscribe({
      ...start,
      filter,
      onMessage: (message) => this.#apply(message),
      onReset: () => this.#reset(),
    });
    this.#subscription = subscription;
    this.#advance(subscription.startPosition);
    if (this.#stopped) await subscription.stop();
  }

  /** The leader holds what never arrived, and nothing moves: the feed lost it, so begin again after what we have. */
  async #resubscribe(): Promise<void> {
    await this.#subscription?.stop();
    this.#reset();
    await this.#subscribe({ fromPosition: this.#position + 1 });
  }

  async #startingPoint(from: FollowFrom): Promise<Partial<ReadRequest>> {
    if (from === 'start') return {};
    if (from === 'end') return { fromPosition: (await this.#options.log.head()) + 1 };
    if ('position' in from) return { fromPosition: from.position };
    return from;
  }

  #apply(message: StoredMessage): void {
    if (this.#failed || this.#stopped || message.position <= this.#position) return;
    const result = this.#options.reader.read(message);
    try {
      if (result.kind === 'commit') this.#options.onEntry(result.entry);
      else this.#report(result);
    } catch (error) {
      this.#failed = true;
      this.#options.onFailure?.(error);
      return;
    }
    if (result.kind === 'commit') this.#entries.tell(result.entry);
    this.#advance(message.position);
  }

  #report(problem: LogProblem): void {
    this.#counters[problem.kind] += 1;
    this.#options.onProblem?.(problem);
  }

  #advance(position: number): void {
    if (position <= this.#position) return;
    this.#position = position;
    this.#positions.tell(position);
  }

  #reset(): void {
    this.#epoch += 1;
    this.#counters.resets += 1;
    this.#provenAtMs = -Infinity;
    this.#options.onReset?.();
  }

  async #prove(): Promise<void> {
    const startedAtMs = this.#monotonicNow();
    const epoch = this.#epoch;
    try {
      const head = await this.#options.log.head(this.#options.filter);
      const position = this.#position;
      const reached = await this.#reaches(head);
      if (reached && epoch === this.#epoch) this.#provenAtMs = Math.max(this.#provenAtMs, startedAtMs);
      if (!reached && position === this.#position && !this.#stopped && !this.#failed) await this.#resubscribe();
    } catch {
      // No proof: the age grows, and the owner stops serving by itself.
    }
    if (this.#stopped) return;
    const elapsedMs = this.#monotonicNow() - startedAtMs;
    this.#timer = setTimeout(() => void this.#prove(), Math.max(10, this.#proofIntervalMs - elapsedMs));
  }

  async #reaches(head: number): Promise<boolean> {
    try {
      await this.waitForPosition(head, { timeoutMs: this.#staleMsMax });
      return true;
    } catch {
      return false;
    }
  }

  #assertRunning(): void {
    if (this.#stopped) throw new PosternError('bus.unavailable', 'The follower was stopped.');
  }
}
