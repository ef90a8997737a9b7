import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import { PosternError } from '@postern/contracts';

/** What names standard input where a file is asked for. */
const standardInput = '-';

/**
 * Works on an export that is read several times, also where it comes through a pipe: then it is laid into a file of its
 * own first, which only its owner may read, and which goes with the work.
 *
 * @throws {PosternError} `request.malformed` where somebody types
 */
export async function spooled<T>(
  file: string,
  work: (path: string) => Promise<T>,
  input: Readable & { readonly isTTY?: boolean } = process.stdin,
): Promise<T> {
  if (file !== standardInput) return await work(file);
  if (input.isTTY === true) {
    throw new PosternError(
      'request.malformed',
      'Nothing comes: postern events export --log ALL | postern events import - …',
    );
  }
  const folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
  try {
    const path = join(folder, 'export.ndjson');
    await pipeline(input, createWriteStream(path, { mode: 0o600, flags: 'wx' }));
    return await work(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
