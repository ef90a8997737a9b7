import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { temporaryDataDir } from '@postern/servers';

import { chooseKeyring, keyringOf } from './keyring-choice.ts';
import { dataFolder, type DataFolder } from './paths.ts';

let root: string;
let folder: DataFolder;
beforeEach(async () => {
  root = temporaryDataDir('postern-choice-');
  folder = await dataFolder(join(root, 'data'));
});
afterEach(() => {
  delete process.env['POSTERN_KEYRING_PASSPHRASE_FILE'];
  rmSync(root, { recursive: true, force: true });
});

const refused = expect.objectContaining({ code: 'config.invalid' });

test('a fresh data folder takes what is asked for, and remembers it', () => {
  expect(keyringOf(folder)).toBeUndefined();
  expect(chooseKeyring(folder, 'vault')).toBe('vault');
  expect(chooseKeyring(folder)).toBe('vault');
  expect(() => chooseKeyring(folder, 'local')).toThrow(refused);
  expect(keyringOf(folder)).toBe('vault');
});

test('without a word it is a file', () => {
  expect(chooseKeyring(folder)).toBe('local');
  expect(() => chooseKeyring(folder, 'vault')).toThrow(refused);
});

test('a folder that has a key file and no word about it was begun with it', () => {
  mkdirSync(dirname(folder.keyringFile), { recursive: true });
  writeFileSync(folder.keyringFile, '{}');
  expect(() => chooseKeyring(folder, 'vault')).toThrow(refused);
  expect(chooseKeyring(folder)).toBe('local');
});

test('a passphrase that would protect nothing is refused', () => {
  process.env['POSTERN_KEYRING_PASSPHRASE_FILE'] = '/etc/postern/passphrase';
  expect(() => chooseKeyring(folder, 'vault')).toThrow(refused);
  expect(keyringOf(folder)).toBeUndefined();
  expect(chooseKeyring(folder, 'local')).toBe('local');
});

test('a word that is none is refused', () => {
  mkdirSync(dirname(folder.keyringChoiceFile), { recursive: true });
  writeFileSync(folder.keyringChoiceFile, 'paper\n');
  expect(() => chooseKeyring(folder)).toThrow(refused);
});
