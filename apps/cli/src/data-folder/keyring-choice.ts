import { existsSync, readFileSync } from 'node:fs';

import { PosternError } from '@postern/contracts';
import { Option } from 'commander';

import { writePrivate } from './files.ts';
import type { DataFolder } from './paths.ts';

/** Who holds the key-encryption keys: a file of this data folder, or a HashiCorp Vault beside it. */
export const keyringChoices = ['local', 'vault'] as const;
export type KeyringChoice = (typeof keyringChoices)[number];

/** `--keyring`, of the commands that start servers. */
export function keyringOption(): Option {
  const words = 'who holds the key-encryption keys: a file, or HashiCorp Vault; the data folder remembers it';
  return new Option('--keyring <kind>', words).choices(keyringChoices);
}

/** What this data folder was begun with; undefined for a fresh one. */
export function keyringOf(folder: DataFolder): KeyringChoice | undefined {
  if (existsSync(folder.keyringChoiceFile)) {
    const written = readFileSync(folder.keyringChoiceFile, 'utf8').trim();
    const choice = keyringChoices.find((known) => known === written);
    if (choice !== undefined) return choice;
    throw new PosternError('config.invalid', `${folder.keyringChoiceFile} must say ${keyringChoices.join(' or ')}.`);
  }
  return existsSync(folder.keyringFile) ? 'local' : undefined;
}

/**
 * Decides on the keyring of a data folder, once: data keys open with what wrapped them and with nothing else.
 *
 * @param wanted what was asked for; what the folder has, else `local`, when absent.
 * @throws {PosternError} `config.invalid` for another one than the folder was begun with, and for a passphrase that
 *   would protect nothing.
 */
export function chooseKeyring(folder: DataFolder, wanted?: KeyringChoice): KeyringChoice {
  const begun = keyringOf(folder);
  const choice = wanted ?? begun ?? 'local';
  if (begun !== undefined && begun !== choice) {
    throw new PosternError(
      'config.invalid',
      `${folder.root} was begun with --keyring ${begun}, and its credentials open with nothing else. ` +
        `Start it so, or begin another folder with --data.`,
    );
  }
  if (choice === 'vault' && (process.env['POSTERN_KEYRING_PASSPHRASE_FILE'] ?? '') !== '') {
    const sentence =
      'POSTERN_KEYRING_PASSPHRASE_FILE is for a key file, and with --keyring vault there is none: unset it.';
    throw new PosternError('config.invalid', sentence);
  }
  writePrivate(folder.keyringChoiceFile, `${choice}\n`);
  return choice;
}
