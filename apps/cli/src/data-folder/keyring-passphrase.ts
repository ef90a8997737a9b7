import { resolve } from 'node:path';

import type { Secret } from '@postern/crypto';

const secretVariable = 'POSTERN_KEYRING_PASSPHRASE';
const variable = `${secretVariable}_FILE`;

/**
 * The passphrase of the key file, where the environment names a file that holds one.
 *
 * What reads configurations comes with Nest, and most key files have no passphrase: it is loaded when there is one.
 *
 * @throws {PosternError} `config.invalid` when it cannot be read, others may read it, or it stands in the environment.
 */
export async function keyringPassphrase(): Promise<Secret | undefined> {
  if ([variable, secretVariable].every((name) => (process.env[name] ?? '') === '')) return undefined;
  const { configClass, readConfig, secretFile } = await import('@postern/service');
  const Keyring = configClass({ keyringPassphrase: secretFile().optional() });
  return readConfig(Keyring, process.env).keyringPassphrase;
}

/** What the vault is told of it: the name of its file. */
export function keyringPassphraseFile(): Record<string, string> {
  const path = process.env[variable] ?? '';
  return path === '' ? {} : { [variable]: resolve(path) };
}
