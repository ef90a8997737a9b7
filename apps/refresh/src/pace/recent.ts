/** Remembers something of the latest keys, and forgets the one that was not asked for longest. */
export class Recent<T> {
  readonly #entries = new Map<string, T>();
  readonly #entriesMax: number;
  /** Goes through the keys once: a new one would look again at the place of each that has left. */
  readonly #oldest = this.#entries.keys();

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  values(): Iterable<T> {
    return this.#entries.values();
  }

  peek(key: string): T | undefined {
    return this.#entries.get(key);
  }

  get(key: string, make: () => T): T {
    const known = this.#entries.get(key);
    if (known !== undefined) this.#entries.delete(key);
    else if (this.#entries.size >= this.#entriesMax) this.#entries.delete(this.#oldest.next().value ?? '');
    const entry = known ?? make();
    this.#entries.set(key, entry);
    return entry;
  }
}
