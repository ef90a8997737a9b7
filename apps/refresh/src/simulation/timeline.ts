interface Entry {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** The event loop, taken before anything can be put in its place. */
const nextTurn = setImmediate;

/** Virtual time: what is to happen, in its order, one thing after the other; between two of them nobody waits. */
export class Timeline {
  #nowMs: number;
  #order = 0;
  readonly #heap: Entry[] = [];

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @returns what calls it off */
  after(ms: number, run: () => void): () => void {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, Math.ceil(ms)), order: this.#order, run };
    this.#order += 1;
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  async sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.after(ms, resolve);
    await promise;
  }

  /** Lets everything happen up to a time; each thing, and all that follows from it at once, before the next one. */
  async run(untilMs: number, isOver: () => boolean): Promise<void> {
    for (let top = this.#heap[0]; top !== undefined && top.atMs <= untilMs && !isOver(); top = this.#heap[0]) {
      const { run, atMs } = this.#pop();
      if (run === undefined) continue;
      this.#nowMs = atMs;
      run();
      await new Promise<void>((resolve) => {
        nextTurn(resolve);
      });
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Entry;
      if (isBefore(above, entry)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const top = heap[0] as Entry;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Entry)) child += 1;
      if (isBefore(last, heap[child] as Entry)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
