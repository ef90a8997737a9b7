/**
 * `npm run sim -- [--seeds N] [--from S] [--processes N] [--seed S] [--weeks] [--sabotage NAME]`: runs many seeds and prints
 * each that failed with the command that replays it. A single seed is told line by line.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { outcomesOf } from './outcomes.ts';
import { weeksOf, type Profile } from './profile.ts';
import { sabotages, type Sabotage } from './sabotage.ts';
import { simulate } from './simulation.ts';
import { toldOf } from './told.ts';

const progressEveryMs = 5_000;
const weeks = { connections: 1_000, days: 14 };

const usage = `npm run sim -- [--seeds N] [--from S]   N seeds from S on (100 from 1)
npm run sim -- --seed S                 one seed, line by line
  --processes N                         as many seeds at a time (one for each processor)
  --weeks                               ${weeks.connections} connections for ${weeks.days} days instead of a small world for one
  --sabotage NAME                       without one guard: ${sabotages.join(', ')}`;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    processes: { type: 'string' },
    seed: { type: 'string' },
    weeks: { type: 'boolean', default: false },
    sabotage: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function whole(name: 'seeds' | 'from' | 'processes' | 'seed', otherwise: number): number {
  const number = Number(values[name] ?? otherwise);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  return refuse(`--${name} is followed by a whole number`);
}

function processesAsked(): number {
  const processes = whole('processes', availableParallelism());
  return processes > 0 ? processes : refuse('--processes is at least 1');
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

function profileAsked(): Profile | undefined {
  return values.weeks ? weeksOf(weeks.connections, weeks.days) : undefined;
}

/** Seed after seed, or one in each process at a time: what a seed does, and its hash, is the same either way. */
async function many(from: number, seeds: number, processes: number): Promise<number> {
  const sums = { done: 0, failed: 0, refreshes: 0, leases: 0, deaths: 0, days: 0 };
  const startedMs = performance.now();
  let toldMs = startedMs;
  const options = { profile: profileAsked(), sabotage: sabotageAsked() };
  for await (const outcome of outcomesOf({ from, seeds, processes, options })) {
    sums.done += 1;
    sums.refreshes += outcome.refreshes;
    sums.leases += outcome.leases;
    sums.deaths += outcome.deaths;
    sums.days += outcome.simulatedMs / 86_400_000;
    if (outcome.violation !== undefined) {
      sums.failed += 1;
      const { invariant, text } = outcome.violation;
      console.log(`seed ${outcome.seed} failed: ${invariant} (${text})\n  ${replayOf(outcome.seed)}`);
    }
    if (performance.now() - toldMs < progressEveryMs) continue;
    toldMs = performance.now();
    console.error(`${sums.done} of ${seeds} seeds, ${sums.failed} failed`);
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
  process.exitCode = (await many(whole('from', 1), whole('seeds', 100), processesAsked())) > 0 ? 1 : 0;
} else {
  const options = { profile: profileAsked(), sabotage: sabotageAsked() };
  const report = await simulate({ seed: whole('seed', 1), ...options, keepTrace: true });
  for (const line of toldOf(report)) console.log(line);
  process.exitCode = report.violations.length > 0 ? 1 : 0;
}
