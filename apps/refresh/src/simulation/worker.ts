/** One of several processes that share the seeds: runs what it is told to, one after the other. */
import { outcomeOf } from './outcomes.ts';
import type { SimulationOptions } from './simulation.ts';

process.on('message', (options: SimulationOptions) => void tell(options));
process.on('disconnect', () => process.exit(0));

async function tell(options: SimulationOptions): Promise<void> {
  const outcome = await outcomeOf(options);
  process.send?.(outcome);
}
