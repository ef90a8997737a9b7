#!/usr/bin/env node
/**
 * `npm run test:providers -- [--only slack-bot,zendesk]`: takes every named provider through its life, Postern and the
 * simulated providers as processes, and prints a table: provider by step, what came of it, and why a step does not apply.
 * Ends with `N passed, N failed`, and not with 0 when a step failed.
 */
import { parseArgs } from 'node:util';

import { drillProviders, providerDrill } from '../apps/cli/dist/index.js';

const { values } = parseArgs({ options: { only: { type: 'string', default: drillProviders.join(',') } } });
const only = values.only.split(',');
const unknown = only.filter((id) => !drillProviders.includes(id));
if (unknown.length > 0) {
  console.error(`${unknown.join(', ')} is unknown; --only names some of ${drillProviders.join(', ')}`);
  process.exit(2);
}

try {
  const { results, failed, lines } = await providerDrill({ only, onProgress: (text) => console.error(`… ${text}`) });
  for (const line of lines) console.log(line);
  const passed = Object.values(results).flatMap((row) => Object.values(row).filter(({ result }) => result === 'ok'));
  console.log(`${passed.length} passed, ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
} catch (error) {
  console.error(error);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
