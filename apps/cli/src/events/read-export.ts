import { accessSync, constants, createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { PosternError } from '@postern/contracts';
import { importMessage, type StoredMessage } from '@postern/event-log';

/**
 * The messages of an export, a line each.
 *
 * @throws {PosternError} `request.malformed` with the line that is no exported message, or when the file cannot be read.
 */
export async function* readExport(path: string): AsyncIterable<StoredMessage> {
  try {
    accessSync(path, constants.R_OK);
  } catch (cause) {
    throw new PosternError('request.malformed', `${path} cannot be read.`, { cause });
  }
  const input = createReadStream(path);
  let lineNumber = 0;
  try {
    for await (const line of createInterface({ input, crlfDelay: Infinity })) {
      lineNumber += 1;
      if (line !== '') yield importMessage(line, lineNumber);
    }
  } finally {
    input.destroy();
  }
}
