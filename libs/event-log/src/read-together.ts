import type { BoundedReadRequest, EventLog, StoredMessage } from './event-log.ts';
import { SharedReading, type HeldLimits, type Place } from './shared-reading.ts';

export interface ReadTogetherOptions extends Partial<HeldLimits> {
  /** For how long in all one reading is held back by slower ones before it goes on without them. */
  readonly heldBackMsMax?: number;
}

interface Shared {
  readonly log: EventLog;
  readonly readings: Set<SharedReading>;
  readonly limits: HeldLimits;
  readonly heldBackMsMax: number;
}

/**
 * A log whose readings are one reading while they are at about the same place: each message is asked for, sent and taken
 * apart once, however many follow.
 *
 * Whoever begins elsewhere reads alone until he meets another. The slower one holds the faster back by as many messages as
 * are held, and in all for no longer than the faster one waits; then it is left behind, with a reading of its own. Where
 * the shared one fails it fails for all who follow it, as one of their own would have.
 *
 * Only readings of a range of positions are shared; all else is the log's own.
 */
export function readTogether(
  log: EventLog,
  { heldMessagesMax = 2_000, heldBytesMax = 8 * 1_024 ** 2, heldBackMsMax = 10_000 }: ReadTogetherOptions = {},
): EventLog {
  const shared: Shared = { log, readings: new Set(), limits: { heldMessagesMax, heldBytesMax }, heldBackMsMax };
  return {
    append: (request) => log.append(request),
    appendTogether: (requests) => log.appendTogether(requests),
    last: (subject, options) => log.last(subject, options),
    lastOfEach: (subjects, untilPosition) => log.lastOfEach(subjects, untilPosition),
    at: (position) => log.at(position),
    head: (filter) => log.head(filter),
    beginning: () => log.beginning(),
    subscribe: (request) => log.subscribe(request),
    read: (request) =>
      isRange(request) ? { [Symbol.asyncIterator]: () => new ReadingFollower(shared, request) } : log.read(request),
  };
}

/** A literal subject is read in another way, and by few. */
function isRange({ filter, sinceMs, lastPerSubject }: BoundedReadRequest): boolean {
  return /[*>]/.test(filter) && sinceMs === undefined && lastPerSubject !== true;
}

/** One who reads: what it is given comes from whatever reading holds what it needs next. */
class ReadingFollower implements AsyncIterator<StoredMessage, undefined> {
  readonly #shared: Shared;
  readonly #filter: string;
  readonly #untilPosition: number;
  #nextPosition: number;
  #endPosition: number | undefined;
  #isClosed = false;
  #patienceMs: number;
  #reading: SharedReading | undefined;
  #place: Place = { index: 0, isLeft: true };

  constructor(shared: Shared, { filter, fromPosition = 1, untilPosition = Infinity }: BoundedReadRequest) {
    this.#shared = shared;
    this.#filter = filter;
    this.#untilPosition = untilPosition;
    this.#nextPosition = Math.max(1, fromPosition);
    this.#patienceMs = shared.heldBackMsMax;
  }

  /** At once, where the message is held. */
  next(): Promise<IteratorResult<StoredMessage, undefined>> {
    const message = this.#place.isLeft ? undefined : this.#reading?.at(this.#place.index);
    return message === undefined ? this.#more() : this.#give(message);
  }

  async return(): Promise<IteratorResult<StoredMessage, undefined>> {
    this.#isClosed = true;
    const reading = this.#reading;
    this.#reading = undefined;
    await reading?.leave(this.#place);
    return { done: true, value: undefined };
  }

  #give(message: StoredMessage): Promise<IteratorResult<StoredMessage, undefined>> {
    if (message.position > (this.#endPosition ?? 0)) return this.return();
    this.#nextPosition = message.position + 1;
    this.#reading?.took(this.#place);
    return Promise.resolve({ done: false, value: message });
  }

  async #more(): Promise<IteratorResult<StoredMessage, undefined>> {
    try {
      this.#endPosition ??= Math.min(this.#untilPosition, await this.#shared.log.head());
      while (!this.#isClosed && this.#nextPosition <= this.#endPosition) {
        const reading = await this.#meet(this.#endPosition);
        if (this.#place.isLeft) continue;
        const message = reading.at(this.#place.index);
        if (message !== undefined) return await this.#give(message);
        if (reading.isOver) this.#nextPosition = Math.max(this.#nextPosition, reading.endPosition + 1);
        else if (await this.#hasRoom(reading)) await reading.more();
      }
    } catch (error) {
      await this.return();
      throw error;
    }
    return await this.return();
  }

  /** The reading that holds what comes next, or one of its own. */
  async #meet(endPosition: number): Promise<SharedReading> {
    const own = this.#place.isLeft ? undefined : this.#reading;
    if (own?.at(this.#place.index) !== undefined) return own;
    for (const other of this.#shared.readings) {
      if (other === own || other.filter !== this.#filter) continue;
      const place = other.join(this.#nextPosition);
      if (place !== undefined) return await this.#goTo(other, place);
    }
    if (own !== undefined && own.endPosition >= this.#nextPosition) return own;
    const { log, readings, limits } = this.#shared;
    const range = { filter: this.#filter, fromPosition: this.#nextPosition, endPosition };
    const opened = new SharedReading(log, range, { limits, onClosed: (closed) => void readings.delete(closed) });
    readings.add(opened);
    return await this.#goTo(opened, opened.join(this.#nextPosition));
  }

  async #goTo(reading: SharedReading, place: Place | undefined): Promise<SharedReading> {
    const [left, before] = [this.#reading, this.#place];
    this.#reading = reading;
    this.#place = place ?? { index: 0, isLeft: true };
    await left?.leave(before);
    return reading;
  }

  /** Whoever is slower is waited for, as long as patience lasts. */
  async #hasRoom(reading: SharedReading): Promise<boolean> {
    if (reading.hasRoom()) return true;
    const sinceMs = performance.now();
    const wasMade = await reading.room(this.#patienceMs);
    this.#patienceMs -= performance.now() - sinceMs;
    if (!wasMade) reading.leaveBehind();
    return reading.hasRoom();
  }
}
