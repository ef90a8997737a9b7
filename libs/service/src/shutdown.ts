import type { Logger } from './logger.ts';

/** One step of a shutdown; it may be asked for once only. */
export interface ShutdownStep {
  readonly name: string;
  readonly run: () => Promise<unknown>;
}

/**
 * Runs the steps in order; together they may take `graceMs`, after which the rest is begun without waiting.
 *
 * A step that fails is told and does not keep the others from running: a lock left behind is worse than a log line.
 *
 * @returns whether everything ended in time.
 */
export async function shutDown(steps: readonly ShutdownStep[], graceMs: number, logger: Logger): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<'overdue'>((resolve) => {
    timer = setTimeout(resolve, graceMs, 'overdue');
  });
  let inTime = true;
  for (const { name, run } of steps) {
    const ended = run().then(
      () => 'ended' as const,
      (error: unknown) => {
        logger.warn(`shutdown: ${name} failed`, { err: error });
        return 'ended' as const;
      },
    );
    if ((await Promise.race([ended, overdue])) === 'overdue') {
      logger.warn(`shutdown: ${name} did not end within the grace of ${graceMs}ms`);
      inTime = false;
    }
  }
  clearTimeout(timer);
  return inTime;
}
