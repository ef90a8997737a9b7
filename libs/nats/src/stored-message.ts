import type { StoredMessage } from '@postern/event-log';
import type { JsMsg, StoredMsg } from '@nats-io/jetstream';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { headers as makeHeaders, MsgHdrsImpl } from '@nats-io/nats-core';

import { clientBlock, headerBlock, isHeaderName, type HeaderRecord } from './header-block.ts';

/** Headers as a plain record; of a repeated one the last value. */
export function headerRecord(headers: MsgHdrs | undefined): HeaderRecord {
  return clientBlock(headers).headers;
}

/** The client looks at all names again for each; so it sets them only where it would refuse one, and says why. */
export function natsHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  const entries = Object.entries(record);
  if (entries.every(isPlain)) return MsgHdrsImpl.fromRecord(Object.fromEntries(entries.map(trimmed)));
  const headers = makeHeaders();
  for (const [name, value] of entries) headers.set(name, value);
  return headers;
}

const isPlain = ([name, value]: [string, string]) => isHeaderName(name) && !/[\r\n]/.test(value);
const trimmed = ([name, value]: [string, string]): [string, string[]] => [name, [value.trim()]];

/** The same for what was checked already: our own names and words, nothing of a caller's that may hold a line break. */
export function checkedHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  return MsgHdrsImpl.fromRecord(Object.fromEntries(Object.entries(record).map(([name, value]) => [name, [value]])));
}

/** A message as a consumer delivers it. */
export function deliveredMessage(message: JsMsg): StoredMessage {
  const { subject, data, info } = message;
  const timeMs = Math.floor(info.timestampNanos / 1e6);
  const { headers } = headerBlock(message);
  return { subject, position: info.streamSequence, timeMs, payload: bytesOf(data), headers };
}

/** A message in answer to a direct get; undefined when the answer is a status and no message. */
export function directMessage(answer: Msg): StoredMessage | undefined {
  const { headers, server } = headerBlock(answer);
  const position = Number(server['Nats-Sequence']);
  if (!Number.isSafeInteger(position)) return undefined;
  const timeMs = Date.parse(server['Nats-Time-Stamp'] ?? '');
  return { subject: server['Nats-Subject'] ?? '', position, timeMs, payload: bytesOf(answer.data), headers };
}

/** A message as the stream's leader tells it. */
export function leaderMessage(message: StoredMsg): StoredMessage {
  const { subject, seq, time, data } = message;
  return { subject, position: seq, timeMs: time.getTime(), payload: bytesOf(data), headers: leaderHeaders(message) };
}

/** None where the client can read none: see {@link readHeaderBlock}. */
function leaderHeaders(message: StoredMsg): HeaderRecord {
  try {
    return headerRecord(message.header);
  } catch {
    return {};
  }
}

/** The same bytes without the class that the client gives them. */
function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
