import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { PosternError } from '@postern/contracts';

/**
 * Writes a file that only its owner may read, whole or not at all.
 *
 * @effect a file of mode 0600, folders of mode 0700 above it; may be repeated.
 */
export function writePrivate(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.new`;
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, path);
}

/** The text of a file, made first where it does not exist. */
export function readOrCreate(path: string, make: () => string): string {
  if (!existsSync(path)) writePrivate(path, make());
  return readFileSync(path, 'utf8');
}

/** @throws {PosternError} `config.invalid` when the file cannot be read: the data folder is not what it should be. */
export function readJsonFile(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new PosternError(
      'config.invalid',
      `${path} cannot be read as JSON; start postern up once, or name the data folder with --data.`,
      { cause },
    );
  }
}
