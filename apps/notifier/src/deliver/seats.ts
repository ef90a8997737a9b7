/** A bounded number of things at a time; whoever comes then waits for its turn. */
export class Seats {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(seatsMax: number) {
    this.#free = seatsMax;
  }

  /** Resolves with what gives the seat back. */
  async take(): Promise<() => void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }
}
