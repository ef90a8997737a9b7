import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { HttpImportRow, isPosternError, limits, parseRequest, PosternError } from '@postern/contracts';

/** A line that is a row, or why it is none; nothing of what stands there is repeated. */
export type ReadRow =
  | { readonly line: number; readonly row: HttpImportRow }
  | { readonly line: number; readonly reason: string };

/**
 * Reads the rows of an import, a JSON object a line, from a file or from standard input (`-`): no token stands on a
 * command line.
 *
 * @throws {PosternError} `request.malformed` for none, or for more than one import takes
 */
export async function readImportRows(file: string): Promise<ReadRow[]> {
  const input = file === '-' ? process.stdin : createReadStream(file);
  const rows: ReadRow[] = [];
  let line = 0;
  for await (const text of createInterface({ input, crlfDelay: Infinity })) {
    line += 1;
    if (text.trim() === '') continue;
    rows.push({ line, ...rowOf(text) });
    if (rows.length <= limits.importRowsMax) continue;
    throw new PosternError(
      'request.malformed',
      `One import takes at most ${limits.importRowsMax} connections: split the file (split -l ${limits.importRowsMax}), ` +
        'each part is imported whole or not at all.',
    );
  }
  if (rows.length === 0) throw new PosternError('request.malformed', 'No row stands there: one JSON object a line.');
  return rows;
}

function rowOf(text: string): { row: HttpImportRow } | { reason: string } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { reason: 'is no JSON' };
  }
  try {
    return { row: parseRequest(HttpImportRow, json) };
  } catch (error) {
    if (isPosternError(error)) return { reason: error.message };
    throw error;
  }
}
