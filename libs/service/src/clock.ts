/**
 * Time and chance, as a dependency: deciders are told `nowMs`, waiting is measured on a clock that nobody sets back, and
 * a simulation brings a clock of its own.
 */
export class Clock {
  /** Milliseconds since 1970. */
  nowMs(): number {
    return Date.now();
  }

  /** Milliseconds on a clock that only goes forward, from an arbitrary zero. */
  monotonicMs(): number {
    return performance.now();
  }

  /** Between 0 and 1: what keeps those who failed together from coming back together. */
  random(): number {
    return Math.random();
  }

  /** Runs something after so long. @returns what calls it off */
  after(ms: number, run: () => void): () => void {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  }

  /** Resolves after so long. @throws the signal's reason, as soon as it is given */
  async sleep(ms: number, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const callOff = this.after(ms, resolve);
    const onAbort = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      callOff();
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
