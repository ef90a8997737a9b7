import { PosternError } from '@postern/contracts';

export interface WaitOptions {
  /** After it the waiter is rejected with `bus.timeout`. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter<Fact, Result> {
  readonly test: (fact: Fact) => Result | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Promises that hang on facts as they come: woken at once, never polled, never left hanging. */
export class Waiters<Fact> {
  readonly #waiting = new Set<Waiter<Fact, never>>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with the first result of `test` that is not undefined. @throws {PosternError} `bus.timeout` */
  wait<Result>(test: (fact: Fact) => Result | undefined, { timeoutMs, signal }: WaitOptions): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortReason(signal));
        return;
      }
      const settle = (act: () => void) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiter as unknown as Waiter<Fact, never>);
        act();
      };
      const waiter: Waiter<Fact, Result> = {
        test,
        resolve: (result) => settle(() => resolve(result)),
        reject: (error) => settle(() => reject(error)),
      };
      const onAbort = () => waiter.reject(abortReason(signal));
      const timer = setTimeout(
        () => waiter.reject(new PosternError('bus.timeout', `What was awaited did not come in ${timeoutMs} ms.`)),
        timeoutMs,
      );
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter as unknown as Waiter<Fact, never>);
    });
  }

  tell(fact: Fact): void {
    for (const waiter of this.#waiting) {
      const result = waiter.test(fact);
      if (result !== undefined) waiter.resolve(result);
    }
  }

  rejectAll(error: unknown): void {
    for (const waiter of this.#waiting) waiter.reject(error);
  }
}

function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new PosternError('bus.timeout', 'The wait was given up.');
}
