interface Kept<Value> {
  value: Value;
  /** How many uses there had been when it was moved to the end. */
  movedAt: number;
}

/**
 * The newest of a bounded number of entries. What was not used for long leaves first: within a quarter of the bound the
 * order of uses is not kept, since moving an entry costs more than finding it.
 */
export class LruCache<Value> {
  readonly #entries = new Map<string, Kept<Value>>();
  readonly #entriesMax: number;
  readonly #usesUnmovedMax: number;
  /** Goes through the entries once: what it passes leaves. A new one would look again at the place of each that has left. */
  readonly #oldest = this.#entries.keys();
  #uses = 0;
  #changes = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#usesUnmovedMax = Math.floor(entriesMax / 4);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** As long as it stays the same, everything that was got would be got again. */
  get changes(): number {
    return this.#changes;
  }

  get(key: string): Value | undefined {
    const kept = this.#entries.get(key);
    if (kept === undefined) return undefined;
    this.#uses += 1;
    if (this.#uses - kept.movedAt > this.#usesUnmovedMax) {
      this.#entries.delete(key);
      this.#entries.set(key, kept);
      kept.movedAt = this.#uses;
    }
    return kept.value;
  }

  set(key: string, value: Value): void {
    this.#uses += 1;
    this.#changes += 1;
    const kept = this.#entries.get(key);
    if (kept !== undefined && this.#uses - kept.movedAt <= this.#usesUnmovedMax) {
      kept.value = value;
      return;
    }
    if (kept !== undefined) this.#entries.delete(key);
    this.#entries.set(key, { value, movedAt: this.#uses });
    if (this.#entries.size <= this.#entriesMax) return;
    const oldest = this.#oldest.next();
    if (oldest.done !== true) this.#entries.delete(oldest.value);
  }

  delete(key: string): void {
    if (this.#entries.delete(key)) this.#changes += 1;
  }

  clear(): void {
    this.#changes += 1;
    this.#entries.clear();
  }
}
