import { isPosternError, PosternError } from '@postern/contracts';
import type { LogEntry, StoredMessage, WaitOptions } from '@postern/event-log';

import type { MemoReader } from './identities.ts';
import type { ServerLog } from './log.ts';
import type { SimProcess } from './process.ts';

interface Waiter {
  readonly offer: (entry: LogEntry) => void;
}

export interface FeedOptions {
  readonly log: ServerLog;
  readonly reader: MemoReader;
  readonly process: SimProcess;
  readonly onEntry: (entry: LogEntry) => void;
  readonly onReset: () => void;
  /** Begins with what was stored since. */
  readonly sinceMs: number;
}

/** A process following the log: in order, later than it is written, now and then much later or after a reconnect. */
export class SimFeed {
  readonly #options: FeedOptions;
  readonly #waiters = new Set<Waiter>();
  #next: number;
  #isScheduled = false;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { log, process, sinceMs } = options;
    this.#next = log.positionBefore(process.world.nowMs - sinceMs + 1);
    log.onStored(() => {
      this.#schedule();
      return process.alive;
    });
    this.#schedule();
  }

  get position(): number {
    return this.#next;
  }

  /** How long something has been missing. */
  ageMs(): number {
    const missing = this.#options.log.stored[this.#next];
    return missing === undefined ? 0 : this.#options.process.world.nowMs - missing.timeMs;
  }

  async waitForEntry(fits: (entry: LogEntry) => boolean, { timeoutMs, signal }: WaitOptions): Promise<LogEntry> {
    const { promise, resolve, reject } = Promise.withResolvers<LogEntry>();
    const waiter = { offer: (entry: LogEntry) => (fits(entry) ? resolve(entry) : undefined) };
    const late = () => reject(new PosternError('bus.timeout', 'Nothing was heard.'));
    const callOff = this.#options.process.clock.after(timeoutMs, late);
    signal?.addEventListener('abort', late, { once: true });
    this.#waiters.add(waiter);
    try {
      return await promise;
    } catch (error) {
      if (isPosternError(error)) throw error;
      throw new PosternError('bus.unavailable', 'The feed is gone.', { cause: error });
    } finally {
      callOff();
      this.#waiters.delete(waiter);
    }
  }

  #schedule(): void {
    const { process } = this.#options;
    if (this.#isScheduled || !process.alive) return;
    this.#isScheduled = true;
    const { world } = process;
    const lagMs = world.strikes('feed') ? world.random.between(1_000, 20_000) : world.random.between(1, 8);
    world.timeline.after(lagMs, () => this.#deliver());
  }

  #deliver(): void {
    const { process, log, onReset } = this.#options;
    this.#isScheduled = false;
    if (!process.alive) return;
    if (process.world.strikes('feed')) onReset();
    for (let message = log.stored[this.#next]; message !== undefined; message = log.stored[this.#next]) {
      this.#next += 1;
      this.#apply(message);
    }
  }

  #apply(message: StoredMessage): void {
    const { reader, onEntry } = this.#options;
    const read = reader.read(message);
    if (read.kind !== 'commit') return;
    onEntry(read.entry);
    for (const waiter of this.#waiters) waiter.offer(read.entry);
  }
}
