import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { simulate, type SimulationOptions, type SimulationReport } from './simulation.ts';
import type { Violation } from './world.ts';

/** What one of many seeds came to. */
export interface Outcome extends Pick<SimulationReport, 'seed' | 'traceHash' | 'refreshes' | 'leases' | 'deaths'> {
  readonly simulatedMs: number;
  /** The first of them, where something did not hold. */
  readonly violation: Violation | undefined;
}

export interface ManySeeds {
  readonly from: number;
  readonly seeds: number;
  /** With one, the seeds run in this process. */
  readonly processes: number;
  readonly options: Pick<SimulationOptions, 'profile' | 'sabotage'>;
}

export async function outcomeOf(options: SimulationOptions): Promise<Outcome> {
  const { seed, traceHash, refreshes, leases, deaths, simulatedMs, violations } = await simulate(options);
  return { seed, traceHash, refreshes, leases, deaths, simulatedMs, violation: violations[0] };
}

/**
 * Runs every seed once, and gives each outcome when it is there: in the order of the seeds only where there is one process.
 *
 * @throws where a process ends before its seed: whatever ended it, that seed was not tried
 */
export async function* outcomesOf({ from, seeds, processes, options }: ManySeeds): AsyncGenerator<Outcome, void> {
  if (processes === 1) {
    for (let seed = from; seed < from + seeds; seed += 1) yield await outcomeOf({ ...options, seed });
    return;
  }
  const children = Array.from({ length: Math.min(processes, seeds) }, () => fork(workerFile));
  let next = from;
  const begin = (child: ChildProcess) => {
    const seed = next;
    next += 1;
    child.send({ ...options, seed });
    return answered(child, seed).then((outcome) => ({ child, outcome }));
  };
  const running = new Map(children.map((child) => [child, begin(child)]));
  try {
    while (running.size > 0) {
      const { child, outcome } = await Promise.race(running.values());
      if (next < from + seeds) running.set(child, begin(child));
      else running.delete(child);
      yield outcome;
    }
  } finally {
    for (const child of children) child.kill();
  }
}

const workerFile = fileURLToPath(new URL(`./worker${import.meta.url.slice(-3)}`, import.meta.url));

async function answered(child: ChildProcess, seed: number): Promise<Outcome> {
  const stop = new AbortController();
  const { signal } = stop;
  const ended = once(child, 'exit', { signal }).then(([code, by]) => {
    throw new Error(`The process of seed ${seed} ended by itself (${String(code ?? by)}).`);
  });
  try {
    const [outcome] = (await Promise.race([once(child, 'message', { signal }), ended])) as [Outcome];
    return outcome;
  } finally {
    stop.abort();
    ended.catch(() => undefined);
  }
}
