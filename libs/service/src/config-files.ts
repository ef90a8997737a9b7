import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { isError } from './printable.ts';

/** No secret and no trust bundle is larger. */
const fileBytesMax = 256 * 1024;

/** What a configuration file held, or the sentence that says why it was not read. */
export type FileContent = { readonly content: string } | { readonly problem: string };

/**
 * Reads a file of the configuration; a secret only when nobody but its owner may.
 *
 * The mode is asked of the opened file, so that it cannot be exchanged between the question and the reading.
 */
export function readConfigFile(path: string, { secret }: { secret: boolean }): FileContent {
  try {
    return readOpened(openSync(path, 'r'), secret);
  } catch (error) {
    return { problem: `names a file that cannot be read (${errorWord(error)})` };
  }
}

function readOpened(file: number, secret: boolean): FileContent {
  try {
    const { mode, size } = fstatSync(file);
    if (secret && (mode & 0o077) !== 0) {
      return { problem: `names a file that others may read (mode ${(mode & 0o777).toString(8)}); run: chmod 600` };
    }
    if (size > fileBytesMax) return { problem: `names a file over ${fileBytesMax} bytes` };
    return { content: readFileSync(file, 'utf8').trim() };
  } finally {
    closeSync(file);
  }
}

function errorWord(error: unknown): string {
  return isError(error) && 'code' in error ? String(error.code) : 'unknown';
}
