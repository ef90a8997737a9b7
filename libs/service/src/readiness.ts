/** True, or why not: the reason in a few words, or just false. */
export type ReadinessAnswer = boolean | string;
/** Asked at every `/readyz`; it must answer at once and from memory. */
export type ReadinessCheck = () => ReadinessAnswer;

/** What follows the log and knows how fresh it is. */
export interface Feed {
  isFresh(): boolean;
  feedAgeMs(): number;
}

export interface ReadinessReport {
  readonly ready: boolean;
  /** `ok` or the reason, by the name of the check. */
  readonly checks: Readonly<Record<string, string>>;
}

/**
 * May this service be sent work? Whoever depends on something registers a check under its name.
 *
 * Liveness is another question: a service that lost the bus is alive and must not be restarted for it.
 */
export class ReadinessRegistry {
  readonly #checks = new Map<string, ReadinessCheck>();
  readonly #feeds = new Map<string, Feed>();

  add(name: string, check: ReadinessCheck): void {
    this.#checks.set(name, check);
  }

  /** A follower of the log: ready while it is fresh, and its age is told at `/metrics`. */
  addFeed(name: string, feed: Feed): void {
    this.#feeds.set(name, feed);
    this.add(name, () => (feed.isFresh() ? true : 'the feed is not proved fresh'));
  }

  /** Milliseconds since each feed was proved to be read to its end, by its name. */
  feedAgesMs(): [string, number][] {
    return [...this.#feeds].map(([name, feed]) => [name, feed.feedAgeMs()]);
  }

  report(): ReadinessReport {
    const checks = Object.fromEntries([...this.#checks].map(([name, check]) => [name, answerOf(check)]));
    return { ready: Object.values(checks).every((answer) => answer === 'ok'), checks };
  }
}

function answerOf(check: ReadinessCheck): string {
  try {
    const answer = check();
    return answer === true ? 'ok' : answer === false ? 'not ready' : answer;
  } catch {
    return 'the check failed';
  }
}
