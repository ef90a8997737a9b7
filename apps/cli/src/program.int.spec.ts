import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { temporaryDataDir } from '@postern/servers';

import { createProgram } from './program.ts';

const command = join(import.meta.dirname, '../bin/postern.mjs');
const folder = temporaryDataDir('postern-loaded-');
const listFile = join(folder, 'loaded');
/** Writes down every file that a process loads, at its end. */
const listing = `
  import { registerHooks } from 'node:module';
  import { writeFileSync } from 'node:fs';
  const urls = [];
  registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
  process.on('exit', () => writeFileSync(${JSON.stringify(listFile)}, urls.join('\\n')));
`;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file of the bundle names above each part the file that it was. */
const partsOf = (url: string) =>
  url.includes('/dist/bundle/')
    ? (readFileSync(fileURLToPath(url), 'utf8').match(/^\/\/ \S+$/gm) ?? []).join('\n')
    : url;

/** What a command loads; with nothing running on its folder it comes as far as that. */
function loadedBy(...args: string[]): string {
  const hook = `data:text/javascript,${encodeURIComponent(listing)}`;
  spawnSync(process.execPath, ['--import', hook, command, ...args, '--data', folder]);
  const urls = readFileSync(listFile, 'utf8').split('\n');
  return urls.map(partsOf).join('\n');
}

test('a question waits neither for what runs services nor for what holds keys, and the version for nothing', () => {
  const question = loadedBy('connections', 'list');
  expect(question).toMatch(/libs\/nats\/dist\//);
  const heavy = [
    /@nestjs\//,
    /\/fastify\//,
    /@opentelemetry\//,
    /@aws-sdk\//,
    /node-vault\//,
    /argon2/,
    /libs\/testing\//,
    /provider-catalog\//,
  ];
  expect(heavy.filter((one) => one.test(question))).toEqual([]);
  expect(loadedBy('--version')).not.toMatch(/libs\/(nats|domain|event-log|keyring|provider-catalog)\//);
});

test('a command line has the commands that it names, and all where it names none', async () => {
  const namesOf = async (...words: string[]) => (await createProgram(words)).commands.map((one) => one.name());
  expect(await namesOf('--data', 'refresh', 'connections', 'list')).toEqual(['connections']);
  expect(await namesOf('serve', 'refresh')).toEqual(['up', 'serve']);
  const all = await namesOf();
  expect(await namesOf('conections', 'list')).toEqual(all);
  for (const name of all) expect(await namesOf(name)).toContain(name);
});
