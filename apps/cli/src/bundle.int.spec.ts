import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { temporaryDataDir } from '@postern/servers';

const root = temporaryDataDir('postern-bundle-');
const bundledAtS = 1_800_000_000;

function file(path: string, text: string, changedAtS: number): void {
  const whole = join(root, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  utimesSync(whole, changedAtS, changedAtS);
}

beforeEach(() => {
  cpSync(join(import.meta.dirname, '../bin'), join(root, 'apps/cli/bin'), { recursive: true });
  file('package.json', '{"type":"module"}', bundledAtS);
  file('package-lock.json', '{}', bundledAtS - 2);
  for (const place of ['apps/cli', 'apps/vault', 'libs/nats']) file(`${place}/dist/.tsbuildinfo`, '{}', bundledAtS - 1);
  file('apps/cli/dist/main.js', 'console.log("as built")', bundledAtS - 1);
  const named = 'const { service } = await import("@postern/app-vault"); console.log(service);';
  file('apps/cli/dist/bundle/app-vault.js', 'export const service = "bundled"', bundledAtS);
  file('apps/cli/dist/bundle/main.js', named, bundledAtS);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const whatRuns = () =>
  execFileSync(process.execPath, [join(root, 'apps/cli/bin/postern.mjs')], { encoding: 'utf8' }).trim();

test('the command and its services run from the bundle', () => {
  expect(whatRuns()).toBe('bundled');
});

test.each(['apps/cli/dist/.tsbuildinfo', 'libs/nats/dist/.tsbuildinfo', 'package-lock.json'])(
  'not where %s changed afterwards: what was built runs as it is',
  (changed) => {
    file(changed, '{}', bundledAtS + 1);
    expect(whatRuns()).toBe('as built');
  },
);

test('not where a project was taken away or never built', () => {
  mkdirSync(join(root, 'libs/crypto'));
  expect(whatRuns()).toBe('as built');
});

test('nor where there is none', () => {
  rmSync(join(root, 'apps/cli/dist/bundle'), { recursive: true });
  expect(whatRuns()).toBe('as built');
});
