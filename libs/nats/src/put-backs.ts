import { acknowledgeOnce, putBack } from './acknowledge.ts';
import type { Bus } from './bus.ts';

/** The server is told so often, and what is put back comes again at these moments. */
export const putBackIntervalMs = 1_000;
/** What is told before that comes again at one of these. */
const soonerIntervalMs = 100;

interface PutBack {
  readonly reply: string;
  readonly atMs: number;
}

/**
 * Puts messages back together, and has them come again together.
 *
 * With each word of one, and for each moment at which one is to come, the server goes through all that is delivered and not
 * acknowledged: with a hundred thousand of them that was a third of its time.
 *
 * Nobody waits until the server knows: a message whose word is lost comes again when its acknowledgement is overdue.
 */
export class PutBacks {
  readonly #bus: Bus;
  #waiting: PutBack[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /** @param delayMs from now on; it comes at most {@link putBackIntervalMs} later */
  add(reply: string, delayMs: number): void {
    const nowMs = performance.now();
    this.#waiting.push({ reply, atMs: nowMs + delayMs });
    this.#timer ??= setTimeout(
      () => this.#tell(putBackIntervalMs),
      putBackIntervalMs - (nowMs % putBackIntervalMs),
    ).unref();
  }

  /** Tells the server now of what waits for that: for whoever leaves. */
  tell(): void {
    this.#tell(soonerIntervalMs);
  }

  #tell(intervalMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const nowMs = performance.now();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reply, atMs } of waiting) {
      const intervals = Math.ceil((atMs - nowMs) / intervalMs);
      acknowledgeOnce(this.#bus, reply, putBack(Math.max(1, intervals * intervalMs)));
    }
  }
}
