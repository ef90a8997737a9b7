interface Interval {
  readonly fromMs: number;
  untilMs: number;
}

/** When something was so: an outage of a provider, a suspension of a connection. */
export class Intervals {
  readonly #byKey = new Map<string, Interval[]>();

  begin(key: string, nowMs: number): void {
    if (this.isOpen(key)) return;
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), { fromMs: nowMs, untilMs: Infinity }]);
  }

  end(key: string, nowMs: number): void {
    const last = this.#byKey.get(key)?.at(-1);
    if (last !== undefined) last.untilMs = Math.min(last.untilMs, nowMs);
  }

  isOpen(key: string): boolean {
    return this.#byKey.get(key)?.at(-1)?.untilMs === Infinity;
  }

  /** How long it was so within a span of time. */
  withinMs(key: string, { fromMs, untilMs }: Readonly<Interval>): number {
    return (this.#byKey.get(key) ?? []).reduce(
      (sum, one) => sum + Math.max(0, Math.min(one.untilMs, untilMs) - Math.max(one.fromMs, fromMs)),
      0,
    );
  }
}
