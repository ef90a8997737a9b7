#!/usr/bin/env node
/**
 * Runs the tests of one project under Node 26 and leaves their results for tools/test.mjs to sum; with `--cluster` those
 * on a cluster of servers instead, which come late beside too much else. A last argument names the one spec to run.
 * POSTERN_TEST_SHARDS=NAME:1/2 has only the first half of that project's specs run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
const args = process.argv.slice(2);
const isCluster = args.includes('--cluster');
const [projectRoot, projectName, spec] = args.filter((arg) => arg !== '--cluster');
/** Three nodes share what cores there are: what is waited for there is progress, and this only ends what makes none. */
const clusterTimeoutMs = '300000';
const onCluster = [
  ...['--testPathIgnorePatterns', '/dist/', '--testMatch', '**/src/**/*.cluster.spec.ts'],
  ...['--testTimeout', clusterTimeoutMs],
];
const named = (process.env.POSTERN_TEST_SHARDS ?? '').split(',').find((one) => one.startsWith(`${projectName}:`));
const shard = named?.slice(projectName.length + 1);
const resultName = [projectName, shard ?? []].flat().join('-').replaceAll('/', '-');
const outputFile = join(root, 'node_modules/.cache/test-results', `${resultName}.json`);
/** Of what a runner said that left no report. */
const lastWordsMax = 4_000;
mkdirSync(dirname(outputFile), { recursive: true });
rmSync(outputFile, { force: true });
const startTime = Date.now();
let lastWords = '';
const runner = spawn(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    join(root, 'node_modules/jest/bin/jest.js'),
    ...['--config', join(root, 'jest.config.mjs'), '--roots', join(root, projectRoot)],
    ...(isCluster ? onCluster : ['--passWithNoTests']),
    ...(spec === undefined ? [] : ['--runTestsByPath', join(root, spec)]),
    ...(shard === undefined ? [] : ['--shard', shard]),
    ...['--json', '--outputFile', outputFile, '--runInBand', '--forceExit'],
  ],
  // `--json` prints the report to stdout as well; the human one goes to stderr.
  { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
);
runner.stderr.on('data', (said) => {
  process.stderr.write(said);
  lastWords = `${lastWords}${said}`.slice(-lastWordsMax);
});
const [status, signal] = await once(runner, 'close');
if (!existsSync(outputFile)) {
  // Its tests are not forgotten: the report says that, and by which name they are to be run again.
  const name = join(root, [projectRoot, shard ?? []].flat().join(':'));
  const message = `The runner ended without a report (${signal ?? `exit ${status}`}). Its last words:\n${lastWords}`;
  const died = { name, status: 'failed', assertionResults: [], message, startTime, endTime: Date.now() };
  writeFileSync(outputFile, JSON.stringify({ testResults: [died] }));
}
process.exitCode = status ?? 1;
