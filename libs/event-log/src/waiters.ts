import { PosternError } from '@postern/contracts';

export interface WaitOptions {
  /** After it the waiter is rejected with `bus.timeout`. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter<Fact> {
  readonly offer: (fact: Fact) => void;
  readonly reject: (error: Error) => void;
}

/** Promises that hang on facts as they come: woken at once, never polled, never left hanging. */
export class Waiters<Fact> {
  readonly #waiting = new Set<Waiter<Fact>>();

  /** Resolves with the first result of `test` that is not undefined. @throws {PosternError} `bus.timeout` */
  wait<Result>(test: (fact: Fact) => Result | undefined, { timeoutMs, signal }: WaitOptions): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const onAbort = () => waiter.reject(abortReason(signal));
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiter);
      };
      const waiter: Waiter<Fact> = {
        offer: (fact) => {
          const result = test(fact);
          if (result === undefined) return;
          settle();
          resolve(result);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const late = new PosternError('bus.timeout', `What was awaited did not come in ${timeoutMs} ms.`);
      const timer = setTimeout(() => waiter.reject(late), timeoutMs);
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      if (signal?.aborted === true) onAbort();
    });
  }

  tell(fact: Fact): void {
    for (const waiter of this.#waiting) waiter.offer(fact);
  }

  rejectAll(error: Error): void {
    for (const waiter of this.#waiting) waiter.reject(error);
  }
}

function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new PosternError('bus.timeout', 'The wait was given up.');
}
