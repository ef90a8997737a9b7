import type { ClaimedDelivery } from '../delivery-log/deliveries.ts';
import { notifierLimits } from '../notifier-limits.ts';
import type { Seats } from './seats.ts';

export interface LaneOptions {
  /** Takes what is due next; undefined when nothing is. */
  readonly next: () => Promise<ClaimedDelivery | undefined>;
  /** @returns whether it was taken; undefined when the receiver was not asked. Must not reject. */
  readonly deliver: (claimed: ClaimedDelivery) => Promise<boolean | undefined>;
  /** Of the whole process: for receivers that answer, and for those that do not, which take none of the former. */
  readonly seats: { readonly answering: Seats; readonly failing: Seats };
  readonly onError: (error: unknown) => void;
}

/** The messages for one receiver: a few at a time, and one at a time while it fails. */
export class Lane {
  readonly #options: LaneOptions;
  readonly #inFlight = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #wakesAtMs = Infinity;
  #running: Promise<void> | undefined;
  #again = false;
  #isFailing = false;
  #stopped = false;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Looks at what is due after so long; the earliest of several counts. */
  wake(delayMs: number): void {
    if (this.#stopped) return;
    if (delayMs <= 0) return this.#run();
    const atMs = performance.now() + delayMs;
    if (atMs >= this.#wakesAtMs) return;
    clearTimeout(this.#timer);
    this.#wakesAtMs = atMs;
    this.#timer = setTimeout(() => {
      this.#wakesAtMs = Infinity;
      this.#run();
    }, delayMs);
  }

  /** Takes nothing more; resolves when what is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
    await Promise.all(this.#inFlight);
  }

  #run(): void {
    this.#again = true;
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#again && !this.#stopped) this.#run();
    });
  }

  /** Never rejects. */
  async #drain(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        while (!this.#stopped && (await this.#takeOne()));
      } catch (error) {
        this.#options.onError(error);
      }
    }
  }

  async #takeOne(): Promise<boolean> {
    while (this.#inFlight.size >= (this.#isFailing ? 1 : notifierLimits.inFlightPerWebhookMax)) {
      await Promise.race(this.#inFlight);
    }
    const { seats, next, deliver } = this.#options;
    const release = await (this.#isFailing ? seats.failing : seats.answering).take();
    const claimed = await next().catch((error: unknown) => {
      release();
      throw error;
    });
    if (claimed === undefined) {
      release();
      return false;
    }
    const delivering = deliver(claimed).then((taken) => {
      release();
      this.#inFlight.delete(delivering);
      if (taken !== undefined) this.#isFailing = !taken;
    });
    this.#inFlight.add(delivering);
    return true;
  }
}
