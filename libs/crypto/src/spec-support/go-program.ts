import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const buildTimeoutMs = 15 * 60_000;
const hasGo = spawnSync('go', ['version']).status === 0;
const required = process.env['POSTERN_REQUIRE_SERVERS'] === '1';

/** Asks a question a line, is answered a line each. */
export type Ask = (questions: readonly object[]) => string[];

/** Tests against a program of another language, from the folder of fixtures; without Go they are skipped, and say so. */
export function describeWithGo(title: string, fixture: string, tests: (ask: Ask) => void): void {
  describeWithGoBinary(title, new URL(`../../fixtures/${fixture}/`, import.meta.url), (binary) =>
    tests((questions) => {
      const input = questions.map((question) => `${JSON.stringify(question)}\n`).join('');
      return execFileSync(binary, { input, encoding: 'utf8' }).trim().split('\n');
    }),
  );
}

/** The same with the program's path, for one that goes on running. */
export function describeWithGoBinary(title: string, source: URL, tests: (binary: string) => void): void {
  const runs = hasGo || required;
  const suite = runs ? describe : describe.skip;
  suite(runs ? title : `${title} (skipped: go was not found)`, () => {
    const cwd = fileURLToPath(source);
    const folder = mkdtempSync(join(tmpdir(), `postern-${basename(cwd)}-`));
    const binary = join(folder, basename(cwd));
    beforeAll(() => {
      const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-o', binary, '.'];
      execFileSync('go', args, { cwd, env: { ...process.env, GOWORK: 'off', CGO_ENABLED: '0' } });
    }, buildTimeoutMs);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    tests(binary);
  });
}
