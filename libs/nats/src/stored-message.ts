import type { StoredMessage } from '@postern/event-log';
import type { MsgHdrs } from '@nats-io/nats-core';
import { headers as makeHeaders } from '@nats-io/nats-core';

/** What the server adds to the answer of a direct get; a writer's header of that name counts as nothing. */
const serverHeaders = new Set([
  'Nats-Stream',
  'Nats-Sequence',
  'Nats-Time-Stamp',
  'Nats-Subject',
  'Nats-Last-Sequence',
  'Nats-Num-Pending',
  'Nats-UpTo-Sequence',
]);

/** Headers as a plain record; of a repeated one the last value. */
export function headerRecord(headers: MsgHdrs | undefined): Record<string, string> {
  const record: Record<string, string> = {};
  if (headers === undefined) return record;
  for (const [name, values] of headers) {
    if (!serverHeaders.has(name)) record[name] = values.at(-1) ?? '';
  }
  return record;
}

export function natsHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  const headers = makeHeaders();
  for (const [name, value] of Object.entries(record)) headers.set(name, value);
  return headers;
}

/** The one shape of a stored message, however it was read. */
export function storedMessage(message: {
  readonly subject: string;
  readonly seq: number;
  readonly timeMs: number;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
}): StoredMessage {
  const { subject, seq, timeMs, data } = message;
  const payload = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { subject, position: seq, timeMs, payload, headers: headerRecord(message.headers) };
}
