/**
 * `npm run sim -- [--seeds N] [--from S] [--seed S] [--weeks] [--sabotage NAME]`: runs seed after seed and prints each
 * that failed with the command that replays it. A single seed is told line by line.
 */
import { parseArgs } from 'node:util';

import { weeksOf } from './profile.ts';
import { sabotages, type Sabotage } from './sabotage.ts';
import { simulate, type SimulationReport } from './simulation.ts';
import { toldOf } from './told.ts';

const progressEveryMs = 5_000;
const weeks = { connections: 1_000, days: 14 };

const usage = `npm run sim -- [--seeds N] [--from S]   N seeds from S on (100 from 1)
npm run sim -- --seed S                 one seed, line by line
  --weeks                               ${weeks.connections} connections for ${weeks.days} days instead of a small world for one
  --sabotage NAME                       without one guard: ${sabotages.join(', ')}`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    weeks: { type: 'boolean', default: false },
    sabotage: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function whole(name: 'seeds' | 'from' | 'seed', otherwise: number): number {
  const number = Number(values[name] ?? otherwise);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  return refuse(`--${name} is followed by a whole number`);
}

function sabotageAsked(): Sabotage | undefined {
  const asked = sabotages.find((name) => name === values.sabotage);
  return values.sabotage === undefined || asked !== undefined ? asked : refuse('there is no such --sabotage');
}

function refuse(why: string): never {
  console.error(`${why}\n\n${usage}`);
  process.exit(2);
}

/** The command that does the same again. */
function replayOf(seed: number): string {
  const more = `${values.weeks ? ' --weeks' : ''}${values.sabotage === undefined ? '' : ` --sabotage ${values.sabotage}`}`;
  return `npm run sim -- --seed ${seed}${more}`;
}

async function one(seed: number, keepTrace: boolean): Promise<SimulationReport> {
  const profile = values.weeks ? weeksOf(weeks.connections, weeks.days) : undefined;
  return await simulate({ seed, profile, sabotage: sabotageAsked(), keepTrace });
}

async function many(from: number, seeds: number): Promise<number> {
  const sums = { failed: 0, refreshes: 0, leases: 0, deaths: 0, days: 0 };
  const startedMs = performance.now();
  let toldMs = startedMs;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const report = await one(seed, false);
    sums.refreshes += report.refreshes;
    sums.leases += report.leases;
    sums.deaths += report.deaths;
    sums.days += report.simulatedMs / 86_400_000;
    if (report.violations.length > 0) {
      sums.failed += 1;
      const [first] = report.violations;
      console.log(`seed ${seed} failed: ${first?.invariant} (${first?.text})\n  ${replayOf(seed)}`);
    }
    if (performance.now() - toldMs < progressEveryMs) continue;
    toldMs = performance.now();
    console.error(`${seed - from + 1} of ${seeds} seeds, ${sums.failed} failed`);
  }
  const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
  const { failed, refreshes, leases, deaths, days } = sums;
  console.log(`${seeds - failed} passed, ${failed} failed: ${Math.round(days)} days in ${seconds} s`);
  console.log(`${refreshes} refreshes, ${leases} leases, ${deaths} deaths of processes`);
  return failed;
}

if (values.help) {
  console.log(usage);
} else if (values.seed === undefined) {
  process.exitCode = (await many(whole('from', 1), whole('seeds', 100))) > 0 ? 1 : 0;
} else {
  const report = await one(whole('seed', 1), true);
  for (const line of toldOf(report)) console.log(line);
  process.exitCode = report.violations.length > 0 ? 1 : 0;
}
