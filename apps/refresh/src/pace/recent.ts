/** Remembers something of the latest keys, and forgets the one that was not asked for longest. */
export class Recent<T> {
  readonly #entries = new Map<string, T>();
  readonly #entriesMax: number;

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
    const entry = this.#entries.get(key) ?? make();
    this.#entries.delete(key);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= this.#entriesMax && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(key, entry);
    return entry;
  }
}
