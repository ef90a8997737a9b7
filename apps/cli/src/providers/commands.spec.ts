import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { jest } from '@jest/globals';
import { providersDir } from '@postern/provider-catalog';
import { Command } from 'commander';

import { createRunCommand } from '../run-command.ts';
import { providerCommands } from './commands.ts';

const folder = mkdtempSync(join(tmpdir(), 'providers-'));
const exitCode = process.exitCode;
afterAll(() => rmSync(folder, { recursive: true }));

/** What a command prints, to which place, and how it ends. */
async function run(...words: string[]): Promise<{ out: string; err: string; exit: unknown }> {
  const said = { out: '', err: '' };
  const write = (where: 'out' | 'err') => (text: string | Uint8Array) => {
    said[where] += String(text);
    return true;
  };
  const spies = [
    jest.spyOn(process.stdout, 'write').mockImplementation(write('out')),
    jest.spyOn(process.stderr, 'write').mockImplementation(write('err')),
  ];
  process.exitCode = undefined;
  try {
    const program = new Command().option('--json');
    providerCommands(program, createRunCommand());
    await program.parseAsync(['providers', ...words], { from: 'user' });
    return { ...said, exit: process.exitCode };
  } finally {
    spies.forEach((spy) => spy.mockRestore());
    process.exitCode = exitCode;
  }
}

const json = async (...words: string[]) => JSON.parse((await run(...words, '--json')).out) as unknown;

test('list names every provider with how well it is known', async () => {
  const all = (await json('list')) as { id: string; evidence: string }[];
  expect(all.length).toBeGreaterThanOrEqual(216);
  const evidence = new Map(all.map((one) => [one.id, one.evidence]));
  expect([evidence.get('salesforce'), evidence.get('airtable')]).toEqual(['documented', 'unverified']);
  expect((await run('list')).out).toMatch(/^github-app +\d+ +documented +\d+ +0 +\d+ +\d+ +GitHub App$/m);
});

test('show tells facts with their evidence, what is unknown, and doubts', async () => {
  const { out } = await run('show', 'salesforce');
  expect(out).toContain(
    'revocation.ends: {"what":"grant","keys":[]}\n      documented https://developer.salesforce.com/',
  );
  expect(out).toMatch(/\(read \d{4}-\d\d-\d\d\)/);
  expect(out).toMatch(/Unknown, with the cautious value[^]*dpop/);
  expect(out).toMatch(/Doubts[^]*ends the whole family/);
  expect(out).toContain('login: The first label of the login host');
  expect((await run('show', 'nobody')).err).toContain('provider.not_found');
});

describe('validate', () => {
  const linear = readFileSync(new URL('linear.yaml', providersDir), 'utf8');
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  test('without a file it checks the whole catalog', async () => {
    expect((await run('validate')).out).toMatch(/^All \d{3} provider files of the catalog are valid\n$/);
  });

  test('a file that fits is said to', async () => {
    expect((await run('validate', file('linear.yaml', linear))).out).toContain(
      'is a valid provider file (linear, version',
    );
  });

  test('everything that does not fit in any of the files is told at once, by field', async () => {
    const first = file('linear.yaml', linear.replace('https://linear.app/oauth/authorize', 'http://linear.app'));
    const second = file('other.yaml', 'id: other\nname: Other\nversion: 1\nimplicit: true\npkce: supported\n');
    const { err, exit } = await run('validate', first, second);
    expect(err).toContain('provider.invalid');
    expect(err).toContain('linear.yaml: endpoints.value.authorization_endpoint: must be an https URL');
    expect(err).toContain('Unrecognized key: "implicit"');
    expect(err).toContain('other.yaml: pkce: must be a fact: value and evidence');
    expect(exit).not.toBe(0);
  });

  test('a file that is not there, or is no YAML, is no crash', async () => {
    expect((await run('validate', join(folder, 'nothing.yaml'))).err).toContain('cannot be read');
    expect((await run('validate', file('bad.yaml', 'a: ['))).err).toContain('bad.yaml is no YAML');
  });
});

describe('scopes', () => {
  test('tell what each allows', async () => {
    expect((await run('scopes', 'linear')).out).toMatch(/^issues:create +write +documented +issues.create$/m);
  });

  test('are chosen by capabilities, with what comes besides', async () => {
    const { out } = await run('scopes', 'zendesk', '--capabilities', 'tickets.write,users.read');
    expect(out).toMatch(/^tickets:write +destructive +documented +tickets.write +tickets.delete$/m);
    expect(out).toContain('ask for: tickets:write users:read (version 1 of the matrix)');
    expect(await json('scopes', 'zendesk', '--capabilities', 'tickets.read', '--offered', 'read,write')).toMatchObject({
      matrix_version: 1,
      scopes: [{ scope: 'read', risk: 'read', for: ['tickets.read'] }],
    });
  });

  test('what nothing allows, and what is no capability, is refused by code', async () => {
    expect((await run('scopes', 'linear', '--capabilities', 'world.end')).err).toContain('provider.capability_unknown');
    expect((await run('scopes', 'airtable')).err).toContain('provider.capability_unknown');
    expect((await run('scopes', 'linear', '--capabilities', 'Everything')).err).toContain('request.malformed');
  });
});
