import type { Feed } from '@postern/service';

/** A follower that reads a whole log before it is at its end. */
export interface ReadingFeed extends Feed {
  /** Where the last message stands that was read. */
  readonly position: number;
}

/** So long may a first pass stand still, when a server is slow or comes back, before it counts as ended. */
const standsStillMsMax = 30_000;

/**
 * A feed that is ready while its first pass goes on, too: what it reads then is looked at for alarms, and nobody's answer
 * waits for it. Once it was at the end it has to be fresh like every other feed. Its age is told as it is.
 */
export class FirstPass implements Feed {
  readonly #feed: ReadingFeed;
  readonly #monotonicNow: () => number;
  #position = -1;
  #movedAtMs = -Infinity;
  #isBegun = false;
  #isOver = false;

  constructor(feed: ReadingFeed, monotonicNow: () => number = () => performance.now()) {
    this.#feed = feed;
    this.#monotonicNow = monotonicNow;
  }

  /** The feed was started. */
  begin(): void {
    this.#isBegun = true;
    this.#movedAtMs = this.#monotonicNow();
  }

  /** The feed is dead, or was at the end. */
  end(): void {
    this.#isOver = true;
  }

  isFresh(): boolean {
    if (this.#feed.isFresh()) {
      this.end();
      return true;
    }
    if (this.#isOver || !this.#isBegun) return false;
    const { position } = this.#feed;
    if (position !== this.#position) this.#movedAtMs = this.#monotonicNow();
    this.#position = position;
    return this.#monotonicNow() - this.#movedAtMs < standsStillMsMax;
  }

  feedAgeMs(): number {
    return this.#feed.feedAgeMs();
  }
}
