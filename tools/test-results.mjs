/** What the runs of tools/test-project.mjs left: one JSON report of jest's for each project. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
export const resultsFolder = join(root, 'node_modules/.cache/test-results');

/** @returns of every spec of every project: how long it took, and what came of its tests. */
export function readAllResults() {
  return existsSync(resultsFolder) ? readdirSync(resultsFolder).flatMap((file) => readResults(file)) : [];
}

/** The same of one report; nothing where it was not written. */
export function readResults(file) {
  const path = join(resultsFolder, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).testResults.map(specOf) : [];
}

function specOf({ name, status, assertionResults, message, startTime, endTime }) {
  const spec = relative(root, name);
  const of = (wanted) => assertionResults.filter((one) => one.status === wanted);
  const failures = of('failed').map(({ fullName, failureMessages }) => ({
    name: `${spec}: ${fullName}`,
    why: failureMessages.join('\n'),
  }));
  // It did not come to its first test, or broke beside them.
  if (status === 'failed' && failures.length === 0) failures.push({ name: spec, why: message });
  return {
    spec,
    durationS: (endTime - startTime) / 1_000,
    passed: of('passed').length,
    skipped: of('pending').map(({ fullName }) => fullName),
    failures,
  };
}
