import type { ManagedProcess } from '@postern/servers';

const restartDelayMsMin = 200;
const restartDelayMsMax = 5_000;
/** A process that ran this long had started well: the next delay is short again. */
const settledAfterMs = 30_000;

export interface KeptProcess {
  readonly name: string;
  /** The process that runs now. */
  current(): ManagedProcess | undefined;
  stop(): Promise<void>;
}

/**
 * Keeps a child process running: starts it, and starts it again when it ends before it was asked to.
 *
 * @param start must resolve when the process is ready to be used.
 * @throws what the first start throws; later ones are told to `onProblem` and tried again.
 */
export async function keepRunning<P extends ManagedProcess>(options: {
  readonly name: string;
  readonly start: () => Promise<P>;
  readonly onProblem: (sentence: string) => void;
}): Promise<KeptProcess> {
  const { name, start, onProblem } = options;
  let stopped = false;
  let wake: () => void = () => undefined;
  let current: P | undefined = await start();

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const startAgain = async (delayMs: number): Promise<void> => {
    await pause(delayMs);
    if (stopped) return;
    try {
      current = await start();
      if (stopped) await current.stop();
    } catch (error) {
      onProblem(`${name} did not start again: ${error instanceof Error ? error.message : String(error)}`);
    }
  };

  const watch = async (): Promise<void> => {
    let delayMs = restartDelayMsMin;
    while (!stopped) {
      const since = performance.now();
      const end = await current?.exited;
      current = undefined;
      if (stopped) return;
      if (end !== undefined) onProblem(`${name} ended (${end.signal ?? `code ${end.code}`}); it is started again`);
      delayMs =
        performance.now() - since > settledAfterMs ? restartDelayMsMin : Math.min(delayMs * 2, restartDelayMsMax);
      await startAgain(delayMs);
    }
  };
  const watching = watch();

  return {
    name,
    current: () => current,
    stop: async () => {
      stopped = true;
      wake();
      await current?.stop();
      await watching;
    },
  };
}
