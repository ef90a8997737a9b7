#!/usr/bin/env node
/**
 * `npm test`: builds, type-checks the specs, lints, runs every project's tests and closes with the line
 * `N passed, N failed`. With `--kill-drill 10` the kill drill follows with so many rounds, as one more test. Other
 * arguments go to nx, such as `--skip-nx-cache` or `--projects=@postern/domain`.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const root = new URL('..', import.meta.url).pathname;
const results = join(root, 'node_modules/.cache/test-results');

const forNx = process.argv.slice(2);
const drillAt = forNx.indexOf('--kill-drill');
const rounds = drillAt < 0 ? 0 : Number(forNx.splice(drillAt, 2)[1]);
if (!Number.isInteger(rounds)) throw new Error('--kill-drill is followed by a number of rounds');
/** The drill ends itself when it hangs; this is for a drill that cannot even do that. */
const drillMsMax = 1_800_000 + rounds * 60_000;
/** Of what a failed test said: enough for the comparison and the place. */
const whyLinesMax = 15;

function run(name, command, args, options = {}) {
  const started = Date.now();
  const { status } = spawnSync(command, args, {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
    ...options,
  });
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  return { name, ok: status === 0 };
}

rmSync(results, { recursive: true, force: true });
mkdirSync(results, { recursive: true });

const bin = (name) => join(root, 'node_modules/.bin', name);
const checks = [
  run('build', bin('tsc'), ['-b']),
  run('servers', process.execPath, ['tools/prepare-servers.mjs']),
  run('types of the tests', bin('tsc'), ['-p', 'tsconfig.spec.json']),
  run('lint', bin('oxlint'), ['--type-aware', '--tsconfig', 'tsconfig.spec.json', '--quiet']),
  run('format', bin('oxfmt'), ['--check', '.']),
  run('tests', bin('nx'), ['run-many', '-t', 'test', '--outputStyle=stream', ...forNx]),
];
// One project's tests were asked for: then not these, unless they are that project's.
if (forNx.every((arg) => !/^(--projects|-p)\b/.test(arg) || arg.includes('nats'))) {
  const args = ['tools/test-project.mjs', 'libs/nats', 'nats-cluster', '--cluster'];
  checks.push(run('tests on a cluster', bin('node'), args));
}

const totals = { passed: 0, failed: 0, skipped: 0 };
const skippedNames = [];
const failures = [];
const durations = [];
for (const file of readdirSync(results)) {
  const report = JSON.parse(readFileSync(join(results, file), 'utf8'));
  totals.passed += report.numPassedTests;
  totals.failed += report.numFailedTests + report.numRuntimeErrorTestSuites;
  totals.skipped += report.numPendingTests;
  for (const { name, status: outcome, assertionResults, message, startTime, endTime } of report.testResults) {
    const spec = relative(root, name);
    durations.push({ spec, s: (endTime - startTime) / 1_000 });
    for (const { status, fullName, failureMessages } of assertionResults) {
      if (status === 'pending') skippedNames.push(fullName);
      if (status === 'failed') failures.push({ name: `${spec}: ${fullName}`, why: failureMessages.join('\n') });
    }
    // It did not come to its first test, or broke beside them.
    if (outcome === 'failed' && assertionResults.every(({ status }) => status !== 'failed')) {
      failures.push({ name: spec, why: message });
    }
  }
}
if (rounds > 0) {
  const args = ['tools/kill-drill.mjs', '--times', String(rounds)];
  const limit = { timeout: drillMsMax, killSignal: 'SIGKILL' };
  const drill = run('kill drill', bin('node'), args, limit);
  totals[drill.ok ? 'passed' : 'failed'] += 1;
  checks.push(drill);
}
const broken = checks.filter(({ ok }) => !ok);
// A failed step that no test accounts for (the build, the linter, a runner that died) still counts.
if (broken.length > 0 && totals.failed === 0) totals.failed = broken.length;

const slowest = durations.toSorted((a, b) => b.s - a.s).slice(0, 15);
for (const { spec, s } of slowest) console.log(`${s.toFixed(1).padStart(7)} s ${spec}`);
for (const name of skippedNames) console.log(`skipped: ${name}`);
for (const { name, why } of failures) {
  const lines = stripVTControlCharacters(why)
    .split('\n')
    .filter((line) => line.trim() !== '');
  console.log([`failed: ${name}`, ...lines.slice(0, whyLinesMax).map((line) => `    ${line}`)].join('\n'));
}
if (broken.length > 0) console.log(`failed: ${broken.map(({ name }) => name).join(', ')}`);
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0;
