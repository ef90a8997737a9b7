import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { describeWithServer } from '@postern/servers';

import { createProgram } from '../program.ts';
import type { SessionRun } from '../run-command.ts';
import { openLogHouse, type LogHouse } from '../spec-support/log-house.ts';
import { canary, pins, promote, rollback, showVersions } from './versions.ts';

const providerId = 'hubspot';
const oldVersion = 1;
const newest = providerOf(loadCatalog(), providerId).version;

type Command = (run: SessionRun) => Promise<void>;

await describeWithServer('nats-server', 'postern providers: the versions of a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-versions-'));
  let house: LogHouse;
  const pinned: string[] = [];

  beforeAll(async () => {
    house = await openLogHouse(folder);
    for (const providerVersion of [oldVersion, oldVersion, newest]) {
      pinned.push((await house.connect(house.tenantId, { providerId, providerVersion })).id);
    }
  });

  afterAll(async () => {
    await house.stop();
    rmSync(folder, { recursive: true });
  });

  /** What a command prints: for people, and as JSON. */
  async function printed(command: Command, options: Record<string, unknown> = {}, id = providerId) {
    const heard = { lines: [] as string[], value: undefined as unknown };
    const printer: SessionRun['printer'] = {
      json: false,
      result: (value, lines) => void Object.assign(heard, { value, lines: lines() }),
      line: () => undefined,
      error: () => undefined,
    };
    const { session, tenantId } = house;
    await command({ session, tenantId, printer, globals: {}, args: [id], options });
    return heard;
  }

  /** Options as the command line itself makes them. */
  const optionsOf = async (...words: string[]): Promise<Record<string, unknown>> => {
    const program = await createProgram();
    const command = program.commands
      .find((one) => one.name() === 'providers')
      ?.commands.find((one) => one.name() === words[0]);
    if (command === undefined) throw new Error(`There is no command ${words[0]}.`);
    command.parseOptions(words.slice(1));
    return command.opts();
  };

  const rows = async () => (await printed(showVersions)).value as { versions: Record<string, unknown>[] };

  const uses = async () =>
    Object.fromEntries((await rows()).versions.map(({ version, in_use: inUse }) => [version as number, inUse]));

  test('say which there are, and how many connections are pinned to each and use it', async () => {
    const { value, lines } = await printed(showVersions);
    expect(value).toMatchObject({
      provider: providerId,
      versions: [
        { version: oldVersion, state: '-', pinned: 2, in_use: 2 },
        { version: newest, state: 'for new ones', pinned: 1, in_use: 1 },
      ],
      canary: null,
      current: null,
      reauthorization_moves_pin: true,
    });
    expect(lines).toHaveLength(4);
  });

  test('a canary of a named connection, then of all, and back; nothing is left of it', async () => {
    const named = await optionsOf('canary', '--file-version', String(newest), '--connection', pinned[0] ?? '');
    const otherwise = { ...named, otherwise: String(oldVersion) };
    expect((await printed(canary, otherwise)).lines[0]).toBe(
      `canary: version ${newest} for 0 % of the connections, ${pinned[0]}`,
    );
    expect(await uses()).toEqual({ [oldVersion]: 1, [newest]: 2 });
    await printed(canary, await optionsOf('canary', '--file-version', String(newest), '--share', '100'));
    expect(await uses()).toEqual({ [oldVersion]: 0, [newest]: 3 });
    const { lines } = await printed(rollback, await optionsOf('rollback', '--reason', 'errors'));
    expect(lines.slice(0, 2)).toEqual(['no canary runs', `new connections get version ${oldVersion}`]);
    expect(await uses()).toEqual({ [oldVersion]: 3, [newest]: 0 });
  });

  test('what is promoted carries those that are there, or new ones alone', async () => {
    await printed(promote, await optionsOf('promote', '--file-version', String(newest), '--new-only'));
    expect(await uses()).toEqual({ [oldVersion]: 2, [newest]: 1 });
    await printed(promote, await optionsOf('promote', '--file-version', String(newest)));
    expect(await uses()).toEqual({ [oldVersion]: 0, [newest]: 3 });
  });

  test('a policy keeps pins at a re-authorization', async () => {
    await printed(pins, await optionsOf('pins', '--on-reauthorization', 'keep'));
    expect((await printed(showVersions)).lines.at(-1)).toBe('a re-authorization leaves a connection at its version');
  });

  test.each([
    ['an unknown version', canary, ['canary', '--file-version', '99', '--share', '10'], 'provider.version_unknown'],
    ['no version', promote, ['promote', '--file-version', 'newest'], 'provider.version_unknown'],
    ['a share of more than all', canary, ['canary', '--file-version', '1', '--share', '101'], 'request.malformed'],
    ['a share of none', canary, ['canary', '--file-version', '1', '--share', '0'], 'request.malformed'],
    ['nobody', canary, ['canary', '--file-version', '1'], 'request.malformed'],
    ['what is no connection', canary, ['canary', '--file-version', '1', '--connection', 'ada'], 'request.malformed'],
    ['another policy', pins, ['pins', '--on-reauthorization', 'ask'], 'request.malformed'],
  ] as const)('%s is refused by name, and nothing is decided', async (_name, command, words, code) => {
    const before = (await printed(showVersions)).value;
    await expect(printed(command, await optionsOf(...words))).rejects.toMatchObject({ code });
    expect((await printed(showVersions)).value).toEqual(before);
  });

  test('of a provider that the catalog does not have nothing is said', async () => {
    await expect(printed(showVersions, {}, 'nobody')).rejects.toMatchObject({ code: 'provider.not_found' });
  });
});
