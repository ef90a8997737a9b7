import { commitEventType, commitHeaders, ExportedMessage, PosternError } from '@postern/contracts';

import type { StoredMessage } from './event-log.ts';

/** A stored message as one line of an export is, from which {@link importMessage} gives back the same bytes. */
export function exportMessage({ subject, position, timeMs, payload, headers }: StoredMessage): ExportedMessage {
  return {
    specversion: '1.0',
    id: headers[commitHeaders.id] ?? `position-${position}`,
    source: headers[commitHeaders.source] ?? '/unknown',
    type: headers[commitHeaders.type] ?? commitEventType,
    subject: headers[commitHeaders.subject] ?? subject,
    time: headers[commitHeaders.time] ?? new Date(timeMs).toISOString(),
    datacontenttype: 'application/json',
    natssubject: subject,
    natsposition: position,
    natstime: new Date(timeMs).toISOString(),
    natsheaders: { ...headers },
    ...dataOf(payload),
  };
}

function dataOf(payload: Uint8Array): { data: unknown } | { data_base64: string } {
  const text = Buffer.from(payload).toString('utf8');
  try {
    const data: unknown = JSON.parse(text);
    if (Buffer.from(JSON.stringify(data)).equals(payload)) return { data };
  } catch {
    // Not JSON: kept as bytes.
  }
  return { data_base64: Buffer.from(payload).toString('base64') };
}

/** @throws {PosternError} `request.malformed` with the line that is no exported message. */
export function importMessage(line: string, lineNumber: number): StoredMessage {
  const parsed = ExportedMessage.safeParse(parseJson(line));
  if (!parsed.success) {
    throw new PosternError('request.malformed', `Line ${lineNumber} is no exported message.`, { cause: parsed.error });
  }
  const { natssubject, natsposition, natstime, natsheaders, data, data_base64: base64 } = parsed.data;
  const payload = base64 === undefined ? Buffer.from(JSON.stringify(data)) : Buffer.from(base64, 'base64');
  return { subject: natssubject, position: natsposition, timeMs: Date.parse(natstime), payload, headers: natsheaders };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
