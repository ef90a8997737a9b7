#!/usr/bin/env node
/**
 * `npm run test:kill -- [--times 50] [--seed N]`: kills services and servers with -9 at random moments of a refresh, and
 * checks what must hold. Prints how each round ended; the seed repeats a run's plan. Ends with `N passed, N failed`.
 */
import { parseArgs } from 'node:util';

import { killDrill } from '../apps/cli/dist/index.js';

const { values } = parseArgs({ options: { times: { type: 'string', default: '50' }, seed: { type: 'string' } } });
const times = Number(values.times);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}, ${times} rounds`);
try {
  const { lines, tokenCalls, claimsReleased } = await killDrill({
    times,
    seed,
    onProgress: (text) => console.error(text),
  });
  for (const line of lines) console.log(line);
  console.log(`${tokenCalls} refreshes at the token endpoint, ${claimsReleased} claims released`);
  console.log(`${times} passed, 0 failed`);
} catch (error) {
  console.error(error);
  console.log(`0 passed, 1 failed`);
  process.exitCode = 1;
}
