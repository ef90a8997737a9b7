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

/** A message as an ordered consumer delivers it: the client has read its place already, to see that none is missing. */
export function deliveredMessage(message: JsMsg): StoredMessage {
  const { streamSequence: position, timestampNanos } = message.info;
  const place = { subject: message.subject, position, timeMs: Math.floor(timestampNanos / 1e6) };
  return new ReadMessage(place, message.data, () => headerBlock(message));
}

/** A message in answer to a direct get; undefined when the answer is a status and no message. */
export function directMessage(answer: Msg): StoredMessage | undefined {
  const block = headerBlock(answer);
  const { server } = block;
  const position = Number(server['Nats-Sequence']);
  if (!Number.isSafeInteger(position)) return undefined;
  const timeMs = Date.parse(server['Nats-Time-Stamp'] ?? '');
  return new ReadMessage({ subject: server['Nats-Subject'] ?? '', position, timeMs }, answer.data, block);
}

/** A message as the stream's leader tells it. */
export function leaderMessage(message: StoredMsg): StoredMessage {
  const { subject, seq, time } = message;
  const place = { subject, position: seq, timeMs: time.getTime() };
  const told = toldBy(message);
  if (told === undefined) return new ReadMessage(place, message.data, clientBlock(message.header));
  const text = Buffer.from(told.hdrs ?? '', 'base64').toString('utf8');
  return new ReadMessage(place, Buffer.from(told.data ?? '', 'base64'), { ...readHeaderBlock(text), text });
}

/** The leader's own words, where the client holds them as it does today: it takes ten times as long to read them. */
function toldBy(message: StoredMsg): { readonly hdrs?: string; readonly data?: string } | undefined {
  const { smr } = message as StoredMsg & { readonly smr?: { readonly message?: { hdrs?: string; data?: string } } };
  return smr?.message;
}

/** What few ask for is read when they do: whoever grows a tree looks at no header. */
class ReadMessage implements StoredMessage {
  readonly subject: string;
  readonly position: number;
  readonly timeMs: number;
  readonly payload: Uint8Array;
  #block: HeaderBlock | (() => HeaderBlock);

  constructor(
    { subject, position, timeMs }: Pick<StoredMessage, 'subject' | 'position' | 'timeMs'>,
    { buffer, byteOffset, byteLength }: Uint8Array,
    block: HeaderBlock | (() => HeaderBlock),
  ) {
    this.subject = subject;
    this.position = position;
    this.timeMs = timeMs;
    // The same bytes without the class that the client gives them.
    this.payload = new Uint8Array(buffer, byteOffset, byteLength);
    this.#block = block;
  }

  get headers(): HeaderRecord {
    return this.#read().headers;
  }

  get previousPosition(): number | undefined {
    return previousPositionIn(this.#read().text);
  }

  #read(): HeaderBlock {
    if (typeof this.#block === 'function') this.#block = this.#block();
    return this.#block;
  }
}
