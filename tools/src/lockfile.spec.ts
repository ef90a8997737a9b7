import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

test('package-lock.json names the optional packages of every platform, so that npm ci works on all', () => {
  expect(() =>
    execFileSync(process.execPath, [join(root, 'tools/complete-lockfile.mjs'), '--check'], { stdio: 'pipe' }),
  ).not.toThrow();
});

test('package-lock.json records no download address, so that it works with any registry', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const remote = [...lock.matchAll(/"resolved": "([^"]+)"/g)]
    .map((match) => match[1] ?? '')
    .filter((address) => /^\w+:\/\//.test(address));
  expect(remote).toEqual([]);
});
