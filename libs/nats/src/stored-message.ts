import { PosternError } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';
import type { JsMsg } from '@nats-io/jetstream';
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
  return new ReceivedMessage(place, message.data, message);
}

/** A message in answer to a direct get; undefined when the answer is a status and no message. */
export function directMessage(answer: Msg): StoredMessage | undefined {
  const block = headerBlock(answer);
  const { server } = block;
  const position = Number(server['Nats-Sequence']);
  if (!Number.isSafeInteger(position)) return undefined;
  const timeMs = Date.parse(server['Nats-Time-Stamp'] ?? '');
  return new ReceivedMessage({ subject: server['Nats-Subject'] ?? '', position, timeMs }, answer.data, block);
}

/** What a stream's leader answers, as it stands in JSON: bytes in base64. */
interface Told {
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    readonly time: string;
    readonly hdrs?: string;
    readonly data?: string;
  };
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

const noMessageFound = 10_037;

/**
 * A message as the stream's leader tells it; the client takes ten times as long to read it.
 *
 * @returns undefined where it says that there is none
 * @throws {PosternError} `log.unavailable` with its words where it says anything else
 */
export function leaderMessage(answer: Pick<Msg, 'json'>): StoredMessage | undefined {
  const { message, error } = answer.json<Told>();
  if (error?.err_code === noMessageFound) return undefined;
  if (message === undefined) {
    const { description = 'nothing', err_code: code = 0 } = error ?? {};
    throw new PosternError('log.unavailable', `The event log answered: ${description} (${code}).`);
  }
  const { subject, seq: position, time, hdrs = '', data = '' } = message;
  const text = Buffer.from(hdrs, 'base64').toString('utf8');
  const place = { subject, position, timeMs: Date.parse(time) };
  return new ReceivedMessage(place, Buffer.from(data, 'base64'), { ...readHeaderBlock(text), text });
}

type Place = Pick<StoredMessage, 'subject' | 'position' | 'timeMs'>;

/**
 * What few ask for is read when they do: whoever grows a tree looks at no header. A class, since the engine makes a shape
 * for every single object that brings its own getters, and forgetting those takes longer than reading the message.
 */
class ReceivedMessage implements StoredMessage {
  readonly subject: string;
  readonly position: number;
  readonly timeMs: number;
  readonly payload: Uint8Array;
  #headers: HeaderBlock | JsMsg;

  constructor(place: Place, { buffer, byteOffset, byteLength }: Uint8Array, headers: HeaderBlock | JsMsg) {
    this.subject = place.subject;
    this.position = place.position;
    this.timeMs = place.timeMs;
    // The same bytes without the class that the client gives them.
    this.payload = new Uint8Array(buffer, byteOffset, byteLength);
    this.#headers = headers;
  }

  get headers(): HeaderRecord {
    return this.#block().headers;
  }

  get previousPosition(): number | undefined {
    return previousPositionIn(this.#block().text);
  }

  #block(): HeaderBlock {
    if ('info' in this.#headers) this.#headers = headerBlock(this.#headers);
    return this.#headers;
  }
}
