#!/usr/bin/env node
/**
 * `npm test`: builds, type-checks the specs, lints, runs every project's tests and closes with the line
 * `N passed, N failed`.
 *
 * --kill-drill 10   the kill drill follows with so many rounds, as one more test
 * --beside NAMES    the tests of these projects run at the same time as those of all others; given again, a third row
 *                   runs beside both. A project that takes longer than all others is shared by two rows as NAME:1/2 and
 *                   NAME:2/2. When one row is left, the tests on a cluster and the kill drill begin
 * --again 3         when no more than so many specs failed, each runs once more by itself and what it says then counts:
 *                   beside others it may have had too little of the machine. That it failed first is told, with why. Of a
 *                   project whose runner died all specs run once more
 *
 * Other arguments go to nx, such as `--skip-nx-cache` or `--projects=@postern/domain`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

import { readAllResults, readResults, resultsFolder } from './test-results.mjs';

const root = new URL('..', import.meta.url).pathname;
const forNx = process.argv.slice(2);
const rounds = takeNumber('--kill-drill');
const againMax = takeNumber('--again');
const beside = takeAll('--beside');
/** The drill ends itself when it hangs; this is for a drill that cannot even do that. */
const drillMsMax = 1_800_000 + rounds * 60_000;
/** Of what a failed test said: enough for the comparison and the place. */
const whyLinesMax = 15;

rmSync(resultsFolder, { recursive: true, force: true });
mkdirSync(resultsFolder, { recursive: true });

const options = { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' };
const bin = (name) => join(root, 'node_modules/.bin', name);
const checks = [
  run('build', bin('tsc'), ['-b']),
  run('bundle', process.execPath, ['tools/bundle.mjs']),
  run('servers', process.execPath, ['tools/prepare-servers.mjs']),
  run('format', bin('oxfmt'), ['--check', '.']),
];
// No test waits for what these say, and tests wait now and then: what they leave of the machine is theirs.
const checksBeside = [
  running('types of the tests', bin('tsc'), ['-p', 'tsconfig.spec.json']),
  running('lint', bin('oxlint'), ['--type-aware', '--tsconfig', 'tsconfig.spec.json', '--quiet']),
];
const withoutShards = (names) => names.replaceAll(/:\d+\/\d+/g, '');
const tests = (name, projects, env = {}) =>
  running(name, bin('nx'), ['run-many', '-t', 'test', '--outputStyle=stream', ...projects, ...forNx], { env });
const rows = [
  ...beside.map((names) =>
    tests(`tests of ${names}`, ['--projects', withoutShards(names)], { POSTERN_TEST_SHARDS: names }),
  ),
  tests(
    beside.length === 0 ? 'tests' : 'tests of the others',
    beside.length === 0 ? [] : ['--exclude', withoutShards(beside.join(','))],
  ),
];
await allButOne(rows);
// These two wait more than they work, and beside all rows what they kill and start again would come late.
const drilling = rounds > 0 ? [drill()] : [];
// One project's tests were asked for: then not these, unless they are that project's.
if (forNx.every((arg) => !/^(--projects|-p)\b/.test(arg) || arg.includes('nats'))) {
  const cluster = ['tools/test-project.mjs', 'libs/nats', 'nats-cluster', '--cluster'];
  rows.push(running('tests on a cluster', bin('node'), cluster));
}
const runs = await Promise.all(rows);
const drills = await Promise.all(drilling);
checks.push(...(await Promise.all(checksBeside)));

const first = readAllResults();
const failedFirst = first.filter(({ failures }) => failures.length > 0);
const isAgain = failedFirst.length > 0 && failedFirst.length <= againMax;
const specs = isAgain ? first.flatMap((one) => (one.failures.length > 0 ? again(one) : [one])) : first;
const failures = specs.flatMap((one) => one.failures);
// A run that failed for what no test accounts for (its runner died) is broken; the failed tests count by themselves.
checks.push(...runs.map((one) => ({ ...one, ok: one.ok || failedFirst.length > 0 })));

const broken = checks.filter(({ ok }) => !ok);
const passed = specs.reduce((sum, one) => sum + one.passed, 0) + drills.filter(({ ok }) => ok).length;
const failed = failures.length + drills.filter(({ ok }) => !ok).length;
const skipped = specs.flatMap((one) => one.skipped);

const slowest = specs.toSorted((a, b) => b.durationS - a.durationS).slice(0, 15);
for (const { spec, durationS } of slowest) console.log(`${durationS.toFixed(1).padStart(7)} s ${spec}`);
for (const name of skipped) console.log(`skipped: ${name}`);
for (const one of failedFirst) {
  const isStill = failures.some(({ name }) => name.startsWith(one.spec.split(':')[0]));
  if (!isStill) tellAll('failed once, passed by itself', one.failures);
}
tellAll('failed', failures);
if (broken.length > 0) console.log(`failed: ${broken.map(({ name }) => name).join(', ')}`);
// What broke and no test accounts for (the build, the linter) still counts.
const failedMin = failed === 0 ? broken.length : failed;
console.log(`${passed} passed, ${failedMin} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`);
process.exitCode = failedMin > 0 || passed === 0 ? 1 : 0;

function take(option) {
  const at = forNx.indexOf(option);
  return at < 0 ? undefined : forNx.splice(at, 2)[1];
}

function takeAll(option) {
  const all = [];
  for (let one = take(option); one !== undefined; one = take(option)) all.push(one);
  return all;
}

function takeNumber(option) {
  const number = Number(take(option) ?? 0);
  if (!Number.isInteger(number)) throw new Error(`${option} is followed by a whole number`);
  return number;
}

function run(name, command, args, more = {}) {
  const startedMs = Date.now();
  return told(name, startedMs, spawnSync(command, args, { ...options, ...more }).status);
}

async function running(name, command, args, { env = {}, ...limit } = {}) {
  const startedMs = Date.now();
  const child = spawn(command, args, { ...options, ...limit, env: { ...process.env, ...env } });
  const status = await new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', resolve);
  });
  return told(name, startedMs, status);
}

/** @returns when no more than one of them is left, or none of the only one. */
async function allButOne(these) {
  const leftMax = Math.min(1, these.length - 1);
  let left = these.length;
  await new Promise((resolve) => {
    const ended = () => {
      left -= 1;
      if (left <= leftMax) resolve();
    };
    for (const one of these) void one.then(ended);
  });
}

function told(name, startedMs, status) {
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
  return { name, ok: status === 0 };
}

/** A failed spec (or all of a project whose runner died) once more, with the machine to itself. */
function again(before) {
  const [spec, shard] = before.spec.split(':');
  const project = spec.split('/').slice(0, 2).join('/');
  const more = [spec === project ? [] : [spec], spec.endsWith('.cluster.spec.ts') ? ['--cluster'] : []].flat();
  const env = { ...process.env, POSTERN_TEST_SHARDS: shard === undefined ? '' : `again:${shard}` };
  run(`${before.spec} once more`, bin('node'), ['tools/test-project.mjs', project, 'again', ...more], { env });
  const file = shard === undefined ? 'again.json' : `again-${shard.replaceAll('/', '-')}.json`;
  const found = readResults(file).filter((one) => spec === project || one.spec === spec);
  rmSync(join(resultsFolder, file), { force: true });
  return found.length > 0 ? found : [before];
}

function drill() {
  const limit = { timeout: drillMsMax, killSignal: 'SIGKILL' };
  return running('kill drill', bin('node'), ['tools/kill-drill.mjs', '--times', String(rounds)], limit);
}

function tellAll(what, these) {
  for (const { name, why } of these) {
    const said = stripVTControlCharacters(why);
    const lines = said.split('\n').filter((line) => line.trim() !== '' && !line.includes('node_modules'));
    console.log([`${what}: ${name}`, ...lines.slice(0, whyLinesMax).map((line) => `    ${line}`)].join('\n'));
  }
}
