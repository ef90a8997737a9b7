import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import { evolverOf, upcast } from '@postern/domain';
import { CommitReader, verifyLog, type EventLog, type LogReport, type StoredMessage } from '@postern/event-log';

import { importMessage } from '../events/cloud-event.ts';

/** Verifies a log as it stands on the bus. */
export function verifyOnline(
  log: EventLog,
  { reader, filter }: { reader: CommitReader; filter: string },
): Promise<LogReport> {
  return verify(log.read({ filter }), reader);
}

/** Verifies an export: the same checks, offline, with the public keys of the trust bundle alone. */
export function verifyExport(path: string, reader: CommitReader): Promise<LogReport> {
  return verify(readExport(path), reader);
}

function verify(messages: AsyncIterable<StoredMessage>, reader: CommitReader): Promise<LogReport> {
  const onProgress = (position: number) => {
    if (process.stderr.isTTY) process.stderr.write(`\rverified up to position ${position}`);
  };
  return verifyLog(messages, { reader, upcast, evolverOf, onProgress });
}

async function* readExport(path: string): AsyncIterable<StoredMessage> {
  let lineNumber = 0;
  for await (const line of createInterface({ input: createReadStream(path) })) {
    lineNumber += 1;
    if (line !== '') yield importMessage(line, lineNumber);
  }
}
