import { zero } from './bytes.ts';

/** Whatever is kept with a key that was derived. */
interface Derived {
  readonly contentKey: Buffer;
}

export interface DerivedKeysOptions {
  readonly ageMs: number;
  /** Past it the eldest goes first. */
  readonly size: number;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/**
 * Derived keys by name, kept for a while and wiped when they go.
 *
 * They stand in the order of their making and are never moved, so the expired are always in front: the next look wipes
 * them, or a timer when none comes.
 *
 * @internal
 */
export class DerivedKeys<Entry extends Derived> {
  readonly #entries = new Map<string, { readonly entry: Entry; readonly bornMs: number }>();
  readonly #options: DerivedKeysOptions;
  /** Goes through the names once: a new one would look again at the place of each that has left. */
  readonly #eldest = this.#entries.keys();
  /** When the eldest ends. */
  #endsMs = Infinity;
  #sweep: NodeJS.Timeout | undefined;

  constructor(options: DerivedKeysOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): Entry | undefined {
    this.#dropExpired();
    return this.#entries.get(name)?.entry;
  }

  /** Takes the key over: from now on it is wiped here, and what stood under the name is wiped now. */
  keep(name: string, entry: Entry): void {
    const { size, nowMs, ageMs } = this.#options;
    this.#drop(name);
    if (this.#entries.size >= size) this.#drop(this.#eldest.next().value);
    const bornMs = nowMs();
    this.#entries.set(name, { entry, bornMs });
    this.#endsMs = Math.min(this.#endsMs, bornMs + ageMs);
    this.#sweep ??= setTimeout(() => this.#sweepNow(), ageMs).unref();
  }

  clear(): void {
    for (const name of this.#entries.keys()) this.#drop(name);
    clearTimeout(this.#sweep);
    this.#sweep = undefined;
  }

  #sweepNow(): void {
    this.#sweep = undefined;
    this.#dropExpired();
    if (this.#entries.size > 0) this.#sweep = setTimeout(() => this.#sweepNow(), this.#options.ageMs).unref();
  }

  #dropExpired(): void {
    const { nowMs, ageMs } = this.#options;
    const now = nowMs();
    if (now < this.#endsMs) return;
    for (const [name, { bornMs }] of this.#entries) {
      this.#endsMs = bornMs + ageMs;
      if (now < this.#endsMs) return;
      this.#drop(name);
    }
    this.#endsMs = Infinity;
  }

  #drop(name: string | undefined): void {
    const kept = name === undefined ? undefined : this.#entries.get(name);
    if (name === undefined || kept === undefined) return;
    zero(kept.entry.contentKey);
    this.#entries.delete(name);
  }
}
