/** Time, as a dependency: deciders are told `nowMs`, and waiting is measured on a clock that nobody sets back. */
export class Clock {
  /** Milliseconds since 1970. */
  nowMs(): number {
    return Date.now();
  }

  /** Milliseconds on a clock that only goes forward, from an arbitrary zero. */
  monotonicMs(): number {
    return performance.now();
  }
}
