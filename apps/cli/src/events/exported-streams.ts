import { streamFilters, type StreamKey } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';

import { readExport } from './read-export.ts';

/** The streams of a whole log, in the order of an export: first who there is, then what they did. */
export const wholeLog = ['admin', 'connections', 'access', 'checkpoints'] as const satisfies readonly StreamKey[];
export type WholeLogStream = (typeof wholeLog)[number];

/** The stream on which a subject stands; undefined for one of no stream that is exported. */
export function streamOfSubject(subject: string): WholeLogStream | undefined {
  return wholeLog.find((stream) => subject.startsWith(streamFilters[stream].slice(0, -1)));
}

/** The messages of one stream in an export. */
export async function* messagesOf(path: string, wanted: WholeLogStream): AsyncIterable<StoredMessage> {
  for await (const message of readExport(path)) if (streamOfSubject(message.subject) === wanted) yield message;
}
