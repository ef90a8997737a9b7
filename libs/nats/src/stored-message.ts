import type { StoredMessage } from '@postern/event-log';
import type { JsMsg, StoredMsg } from '@nats-io/jetstream';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import { headers as makeHeaders, MsgHdrsImpl } from '@nats-io/nats-core';

import {
  clientBlock,
  headerBlock,
  isHeaderName,
  previousPositionIn,
  readHeaderBlock,
  type HeaderBlock,
  type HeaderRecord,
} from './header-block.ts';

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

const isPlain = ([name, value]: [string, string]) => isHeaderName(name) && !name.includes(':') && !/[\r\n]/.test(value);
const trimmed = ([name, value]: [string, string]): [string, string[]] => [name, [value.trim()]];

/** The same for what was checked already: our own names and words, nothing of a caller's that may hold a line break. */
export function checkedHeaders(record: Readonly<Record<string, string>>): MsgHdrs {
  const lists: Record<string, string[]> = {};
  for (const name of Object.keys(record)) lists[name] = [record[name] ?? ''];
  return MsgHdrsImpl.fromRecord(lists);
}

/** Where a message that a consumer delivers stands, and how many come after it. */
export interface DeliveryPlace {
  readonly position: number;
  readonly timeMs: number;
  readonly pending: number;
}

/** Between the subject's first token and the position: nine tokens in all as servers say it, more with account and domain. */
const tokensBefore = (count: number) => (count === 9 ? 5 : 7);

/** What the subject for the acknowledgement says; the client reads all of it, at twice the cost. */
export function placeOf(message: JsMsg): DeliveryPlace {
  const { reply } = message as JsMsg & { readonly reply: string };
  const tokens = reply.split('.');
  const at = tokensBefore(tokens.length);
  return {
    position: Number(tokens[at]),
    timeMs: Math.floor(Number(tokens[at + 2]) / 1e6),
    pending: Number(tokens[at + 3]),
  };
}

/** A message as a consumer delivers it. */
export function deliveredMessage(message: JsMsg, { position, timeMs } = placeOf(message)): StoredMessage {
  const place = { subject: message.subject, position, timeMs };
  return storedMessage(place, message.data, headerBlock(message));
}

/** A message in answer to a direct get; undefined when the answer is a status and no message. */
export function directMessage(answer: Msg): StoredMessage | undefined {
  const block = headerBlock(answer);
  const { server } = block;
  const position = Number(server['Nats-Sequence']);
  if (!Number.isSafeInteger(position)) return undefined;
  const timeMs = Date.parse(server['Nats-Time-Stamp'] ?? '');
  return storedMessage({ subject: server['Nats-Subject'] ?? '', position, timeMs }, answer.data, block);
}

/** A message as the stream's leader tells it. */
export function leaderMessage(message: StoredMsg): StoredMessage {
  const { subject, seq, time } = message;
  const place = { subject, position: seq, timeMs: time.getTime() };
  const told = toldBy(message);
  if (told === undefined) return storedMessage(place, message.data, clientBlock(message.header));
  const text = Buffer.from(told.hdrs ?? '', 'base64').toString('utf8');
  return storedMessage(place, Buffer.from(told.data ?? '', 'base64'), { ...readHeaderBlock(text), text });
}

/** The leader's own words, where the client holds them as it does today: it takes ten times as long to read them. */
function toldBy(message: StoredMsg): { readonly hdrs?: string; readonly data?: string } | undefined {
  const { smr } = message as StoredMsg & { readonly smr?: { readonly message?: { hdrs?: string; data?: string } } };
  return smr?.message;
}

/** Where the message before it stands is asked of few, and read when it is. */
function storedMessage(
  place: Pick<StoredMessage, 'subject' | 'position' | 'timeMs'>,
  data: Uint8Array,
  { headers, text }: HeaderBlock,
): StoredMessage {
  return {
    ...place,
    payload: bytesOf(data),
    headers,
    get previousPosition() {
      return previousPositionIn(text);
    },
  };
}

/** The same bytes without the class that the client gives them. */
function bytesOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
