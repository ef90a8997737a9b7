#!/usr/bin/env node
/**
 * `npm run bench -- NAME`: runs one benchmark and writes bench/results/NAME.json. It ends with an error only when
 * something is broken, never because a machine is slow.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';

const benchmarks = {
  log: () => import('./log.mjs'),
  lease: () => import('./lease.mjs'),
  refresh: () => import('./refresh.mjs'),
  revocation: () => import('./revocation.mjs'),
  audit: () => import('./audit.mjs'),
};

const [name = 'log'] = process.argv.slice(2);
const load = benchmarks[name];
if (load === undefined) {
  console.error(`There is no benchmark ${name}; there are: ${Object.keys(benchmarks).join(', ')}`);
  process.exit(2);
}

const machine = {
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
  node: process.versions.node,
  load1m: Number(loadavg()[0]?.toFixed(2)),
};
const { run } = await load();
const measured = await run((text) => console.error(`${new Date().toISOString()} ${text}`));
const report = { name, at: new Date().toISOString(), machine, ...measured };

const folder = new URL('./results/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL(`${name}.json`, folder), `${JSON.stringify(report, null, 2)}\n`);
console.log(JSON.stringify(report, null, 2));
