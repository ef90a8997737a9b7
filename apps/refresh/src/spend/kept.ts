import type { Clock } from '@postern/service';

interface Entry<Value> {
  readonly made: Promise<Value>;
  readonly callOff: () => void;
}

/** What many need within the same moment, made once for all of them; what could not be made is made anew. */
export class Kept<Value> {
  readonly #entries = new Map<string, Entry<Value>>();
  readonly #clock: Pick<Clock, 'after'>;
  readonly #ageMs: number;

  constructor(clock: Pick<Clock, 'after'>, ageMs: number) {
    this.#clock = clock;
    this.#ageMs = ageMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  async of(name: string, make: () => Promise<Value>): Promise<Value> {
    const known = this.#entries.get(name);
    if (known !== undefined) return await known.made;
    const entry: Entry<Value> = {
      made: make(),
      callOff: this.#clock.after(this.#ageMs, () => this.#drop(name, entry)),
    };
    this.#entries.set(name, entry);
    try {
      return await entry.made;
    } catch (error) {
      if (this.#entries.get(name) === entry) this.forget(name);
      throw error;
    }
  }

  /** Whoever comes next has it made anew. */
  forget(name: string): void {
    this.#entries.get(name)?.callOff();
    this.#entries.delete(name);
  }

  clear(): void {
    for (const { callOff } of this.#entries.values()) callOff();
    this.#entries.clear();
  }

  #drop(name: string, entry: Entry<Value>): void {
    if (this.#entries.get(name) === entry) this.#entries.delete(name);
  }
}
