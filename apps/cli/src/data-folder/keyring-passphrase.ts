import { resolve } from 'node:path';

import type { Secret } from '@postern/crypto';
import { configClass, readConfig, secretFile } from '@postern/service';

const variable = 'POSTERN_KEYRING_PASSPHRASE_FILE';
const Keyring = configClass({ keyringPassphrase: secretFile().optional() });

/**
 * The passphrase of the key file, where the environment names a file that holds one.
 *
 * @throws {PosternError} `config.invalid` when it cannot be read, or others may read it.
 */
export function keyringPassphrase(): Secret | undefined {
  return readConfig(Keyring, process.env).keyringPassphrase;
}

/** What the vault is told of it: the name of its file. */
export function keyringPassphraseFile(): Record<string, string> {
  const path = process.env[variable] ?? '';
  return path === '' ? {} : { [variable]: resolve(path) };
}
