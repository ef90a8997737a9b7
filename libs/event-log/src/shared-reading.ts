import type { EventLog, StoredMessage } from './event-log.ts';

/** How much of what was read is held for those who come behind. */
export interface HeldLimits {
  readonly heldMessagesMax: number;
  readonly heldBytesMax: number;
}

/** What is read, up to the log's end as somebody has just asked for it. */
export interface SharedRange {
  readonly filter: string;
  readonly fromPosition: number;
  readonly endPosition: number;
}

/** Where one follower stands in a shared reading. */
export interface Place {
  /** Of the next message, counted from the first that was read. */
  index: number;
  /** It was left behind: what comes next is not held for it. */
  isLeft: boolean;
}

/** So many are taken from the log before anybody is woken. */
const messagesATurn = 64;
/** As a timer takes them. */
const timerMsMax = 2 ** 31 - 1;

/**
 * One reading of the log and what of it is held: the newest messages, of which none is dropped that a follower has still
 * to take. Followers have places in it; the last one who leaves closes it.
 */
export class SharedReading {
  readonly filter: string;
  readonly endPosition: number;
  readonly #source: AsyncIterator<StoredMessage>;
  readonly #limits: HeldLimits;
  readonly #onClosed: (reading: SharedReading) => void;
  readonly #places = new Set<Place>();
  /** Message n stands at n modulo its size. Somebody may join while one more is on its way: there is room for that. */
  readonly #held: (StoredMessage | undefined)[] = [];
  readonly #size: number;
  #first = 0;
  #end = 0;
  #bytes = 0;
  /** From this position up to the one that was reached all that matches is held. */
  #heldFrom: number;
  #reached: number;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  #taking: Promise<void> | undefined;
  #roomMade: PromiseWithResolvers<boolean> | undefined;

  constructor(
    log: EventLog,
    { filter, fromPosition, endPosition }: SharedRange,
    { limits, onClosed }: { readonly limits: HeldLimits; readonly onClosed: (reading: SharedReading) => void },
  ) {
    this.filter = filter;
    this.endPosition = endPosition;
    this.#limits = limits;
    this.#size = limits.heldMessagesMax + 1;
    this.#onClosed = onClosed;
    this.#heldFrom = fromPosition;
    this.#reached = fromPosition - 1;
    this.#source = log.read({ filter, fromPosition, untilPosition: endPosition })[Symbol.asyncIterator]();
  }

  /** Everything up to its end was read. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** @returns undefined where what comes from that position on is not held, or not next. */
  join(position: number): Place | undefined {
    const isNext = position >= this.#heldFrom && position <= this.#reached + 1;
    if (!isNext || this.#failure !== undefined) return undefined;
    let [low, high] = [this.#first, this.#end];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.at(middle)?.position ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    const place = { index: low, isLeft: false };
    this.#places.add(place);
    return place;
  }

  /** @effect Closes the reading after the last follower. */
  async leave(place: Place): Promise<void> {
    if (!this.#places.delete(place)) return;
    this.#wake();
    if (this.#places.size > 0) return;
    this.#onClosed(this);
    await this.#source.return?.();
  }

  /** What stands there; undefined where it was not read yet. */
  at(index: number): StoredMessage | undefined {
    return index < this.#end ? this.#held[index % this.#size] : undefined;
  }

  /** The follower has taken what stood at its place. */
  took(place: Place): void {
    place.index += 1;
    if (this.#roomMade === undefined) return;
    // Whoever waits is not woken for every single message.
    const wanted = Math.max(1, (this.#end - this.#first) >> 2);
    if (this.#slowest() - this.#first >= wanted) this.#wake();
  }

  /** Is there room for one more, or may the oldest be dropped for it? */
  hasRoom(): boolean {
    return !this.#isFull() || this.#slowest() > this.#first;
  }

  /** @returns whether there was room, or somebody left, before the time was over. */
  async room(withinMs: number): Promise<boolean> {
    if (withinMs <= 0) return false;
    this.#roomMade ??= Promise.withResolvers<boolean>();
    const { promise } = this.#roomMade;
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), Math.min(withinMs, timerMsMax));
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Goes on without those who still need the oldest message. */
  leaveBehind(): void {
    for (const place of this.#places) {
      if (place.index > this.#first) continue;
      this.#places.delete(place);
      place.isLeft = true;
    }
    this.#wake();
  }

  #wake(): void {
    this.#roomMade?.resolve(true);
    this.#roomMade = undefined;
  }

  /** Takes some more from the log, once for all who ask meanwhile. @throws what the reading ended with */
  more(): Promise<void> {
    this.#taking ??= this.#take().finally(() => (this.#taking = undefined));
    return this.#taking;
  }

  async #take(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    try {
      for (let taken = 0; taken < messagesATurn && this.#places.size > 0 && this.hasRoom(); taken += 1) {
        const { done, value } = await this.#source.next();
        if (done === true) {
          this.#isOver = true;
          this.#reached = this.endPosition;
          return;
        }
        this.#hold(value);
      }
    } catch (error) {
      // What was read before it is told before it.
      this.#failure = { error };
    }
  }

  #hold(message: StoredMessage): void {
    const slowest = this.#slowest();
    while (this.#isFull() && this.#first < slowest) this.#dropOldest();
    this.#held[this.#end % this.#size] = message;
    this.#end += 1;
    this.#bytes += message.payload.byteLength;
    this.#reached = message.position;
  }

  #dropOldest(): void {
    const oldest = this.#first % this.#size;
    const { position = 0, payload } = this.#held[oldest] ?? {};
    this.#heldFrom = position + 1;
    this.#bytes -= payload?.byteLength ?? 0;
    this.#held[oldest] = undefined;
    this.#first += 1;
  }

  #isFull(): boolean {
    const { heldMessagesMax, heldBytesMax } = this.#limits;
    return this.#end - this.#first >= heldMessagesMax || this.#bytes >= heldBytesMax;
  }

  /** The place of whoever is furthest behind. */
  #slowest(): number {
    let slowest = Infinity;
    for (const { index } of this.#places) slowest = Math.min(slowest, index);
    return slowest;
  }
}
