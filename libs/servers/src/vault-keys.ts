import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PosternError } from '@postern/contracts';
import type { AppRoles, VaultKeys } from './vault-setup.ts';

/** What is kept beside Vault's data so that it can be opened again: for one machine, not for production. */
export interface StoredKeys extends VaultKeys {
  readonly roles?: AppRoles;
}

/** Where Vault's files stand in its data folder. */
export function vaultPlaces(dataDir: string): { storageDir: string; keysPath: string; birthPath: string } {
  return {
    storageDir: join(dataDir, 'storage'),
    keysPath: join(dataDir, 'keys.json'),
    birthPath: join(dataDir, 'initialising'),
  };
}

/** The stored keys; undefined before the first start. */
export function readKeys(dataDir: string): StoredKeys | undefined {
  const { keysPath } = vaultPlaces(dataDir);
  return existsSync(keysPath) ? (JSON.parse(readFileSync(keysPath, 'utf8')) as StoredKeys) : undefined;
}

/** Writes the keys whole or not at all, mode 0600. */
export function writeKeys(dataDir: string, keys: StoredKeys): void {
  const { keysPath, birthPath } = vaultPlaces(dataDir);
  const fresh = `${keysPath}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600, flush: true });
  renameSync(fresh, keysPath);
  rmSync(birthPath, { force: true });
}

/**
 * Prepares the storage before a start. A Vault that was initialised but died before its keys were written holds
 * nothing yet and can never be opened: it is begun anew.
 *
 * @throws {PosternError} `servers.start_failed` when the data stand there and the keys do not.
 */
export function prepareStorage(dataDir: string): void {
  const { storageDir, birthPath } = vaultPlaces(dataDir);
  if (readKeys(dataDir)) return;
  if (existsSync(storageDir) && !existsSync(birthPath)) {
    const text = `vault: ${storageDir} holds data, but keys.json beside it is gone; restore it, or remove the folder`;
    throw new PosternError('servers.start_failed', text);
  }
  rmSync(storageDir, { recursive: true, force: true });
  writeFileSync(birthPath, '', { mode: 0o600 });
}
