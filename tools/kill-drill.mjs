#!/usr/bin/env node
/**
 * `npm run test:kill -- [--times 50] [--seed N] [--only vault,nats-server] [--leases]`: kills services and servers with -9
 * at random moments of a refresh, and checks what must hold. With `--leases` clients lease over NATS and HTTP all the time.
 * Prints how each round ended, and what clients received beside what is recorded; the seed repeats a run's plan. Ends with
 * `N passed, N failed`.
 */
import { parseArgs } from 'node:util';

import { killDrill, targets } from '../apps/cli/dist/index.js';

/** A round ends within its own limits; a drill in which none ends for so long hangs. */
const silenceMsMax = 900_000;

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '50' },
    seed: { type: 'string' },
    only: { type: 'string', default: targets.join(',') },
    leases: { type: 'boolean', default: false },
  },
});
const times = Number(values.times);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const only = values.only.split(',');
const unknown = only.filter((name) => !targets.includes(name));
if (!(times > 0) || !Number.isInteger(seed) || unknown.length > 0) {
  console.error(`--times and --seed are numbers; --only names some of ${targets.join(', ')}`);
  process.exit(2);
}

const again = `--times ${times} --seed ${seed} --only ${only.join(',')}${values.leases ? ' --leases' : ''}`;
console.log(`npm run test:kill -- ${again}`);

/** Ends the process, and with it every process that it started. */
function fail(error) {
  console.error(error);
  console.log(`failed: npm run test:kill -- ${again}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const hangs = setTimeout(() => fail(new Error(`seed ${seed}: no round ended in ${silenceMsMax} ms`)), silenceMsMax);
try {
  const { lines, tokenCalls, claimsReleased, leases } = await killDrill({
    ...{ times, seed, only, leases: values.leases },
    onProgress: (text) => console.error(text),
    onRound: (text) => {
      console.error(text);
      hangs.refresh();
    },
  });
  clearTimeout(hangs);
  for (const line of lines) console.log(line);
  console.log(`${tokenCalls} refreshes at the token endpoint, ${claimsReleased} claims released`);
  const { overNats, overHttp, recordedGranted, recordedRefused } = leases;
  console.log(
    `${overNats + overHttp} leases received (${overNats} over NATS, ${overHttp} over HTTP), none without its record; ` +
      `${recordedGranted} recorded as granted, ${recordedRefused} as refused`,
  );
  console.log(`${times} passed, 0 failed`);
} catch (error) {
  fail(error);
}
