import { commitEventType, commitHeaders, PosternError } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';
import { z } from 'zod';

/**
 * One stored message as one line of an export: a CloudEvent in JSON.
 *
 * `data` is the payload as JSON where writing it again gives the stored bytes, so that people can read it; otherwise
 * `data_base64` holds the bytes. Either way the bytes come back exactly, which is what hashes and signatures are over.
 *
 * @source CloudEvents 1.0, JSON event format §3.1
 */
export const ExportedMessage = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  datacontenttype: z.literal('application/json'),
  natssubject: z.string(),
  natsposition: z.number().int().positive(),
  natstime: z.string(),
  natsheaders: z.record(z.string(), z.string()),
  data: z.unknown().optional(),
  data_base64: z.string().optional(),
});
export type ExportedMessage = z.infer<typeof ExportedMessage>;

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
