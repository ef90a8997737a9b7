import type { JsMsg } from '@nats-io/jetstream';
import type { Msg, MsgHdrs } from '@nats-io/nats-core';
import type { ServiceMsg } from '@nats-io/services';
import { commitHeaders } from '@postern/contracts';
import { MsgImpl } from '@nats-io/nats-core/internal';

/** Headers as a plain record; of a repeated one the last value. */
export type HeaderRecord = Record<string, string>;

/** A message's headers: what its writer set, and what the server added to a direct get. */
export interface HeaderBlock {
  readonly headers: HeaderRecord;
  readonly server: HeaderRecord;
  /** As it came; undefined where the client does not hold it. */
  readonly text?: string;
}

/** What the server adds to the answer of a direct get; a writer's header of that name counts as nothing. */
const serverHeaders: ReadonlySet<string> = new Set([
  'Nats-Stream',
  'Nats-Sequence',
  'Nats-Time-Stamp',
  'Nats-Subject',
  'Nats-Last-Sequence',
  'Nats-Num-Pending',
  'Nats-UpTo-Sequence',
]);

/** What was to stand last on the message's subject. */
const expectation = 'Nats-Expected-Last-Subject-Sequence';

/** The names that nearly every message bears: they need no look at their letters. */
const knownNames: ReadonlySet<string> = new Set([...serverHeaders, ...Object.values(commitHeaders), expectation]);

const utf8 = new TextDecoder();

const expected = new RegExp(`\\r\\n${expectation}: *([0-9]{1,15})\\r\\n`);
const anyExpectation = new RegExp(expectation, 'gi');

/**
 * The position that the server was told to expect last on the message's subject, and found there.
 *
 * A thief who writes may have told the server something else than it seems: by a second header of that name, by one that
 * names another subject to look at, by another spelling. So it counts only where the block holds the name once.
 */
export function previousPositionIn(block: string | undefined): number | undefined {
  const position = block === undefined ? undefined : expected.exec(block)?.[1];
  return position === undefined || block?.match(anyExpectation)?.length !== 1 ? undefined : Number(position);
}

/**
 * Reads a header block as the client does, in a quarter of the time: the client searches all names again for every line.
 *
 * @returns no headers of the writer when a line cannot be one. The client throws there, and a message that anybody could
 *   put on a subject would end every reading; without headers it is foreign, as it should be.
 */
export function readHeaderBlock(block: string): HeaderBlock {
  const headers: HeaderRecord = {};
  const server: HeaderRecord = {};
  const names: KnownName[] = [];
  let end = lineEnd(block, 0);
  let readable = isLine(block, 0, end);
  while (end < block.length) {
    const start = end + 2;
    end = lineEnd(block, start);
    readable &&= isLine(block, start, end);
    const before = namesBefore[names.length];
    const isSame =
      before !== undefined && block.startsWith(before.prefix, start) && start + before.prefix.length <= end;
    const known = isSame ? before : nameAt(block, start, end);
    if (known === undefined) continue;
    names.push(known);
    const value = trimmed(block, start + known.prefix.length, end);
    readable &&= known.isReadable;
    (known.isServers ? server : headers)[known.name] = value;
  }
  namesBefore = names;
  return { headers: readable ? headers : {}, server };
}

interface KnownName {
  readonly name: string;
  /** As it stands in the block. */
  readonly prefix: string;
  readonly isReadable: boolean;
  readonly isServers: boolean;
}

/** The names of the block that was read before: messages of one stream mostly bear the same ones, in the same order. */
let namesBefore: readonly KnownName[] = [];

/** Mostly one space stands before a value, and none behind it. */
function trimmed(block: string, start: number, end: number): string {
  const from = block.charCodeAt(start) === space ? start + 1 : start;
  return isPlain(block.charCodeAt(from)) && isPlain(block.charCodeAt(end - 1))
    ? block.slice(from, end)
    : block.slice(start, end).trim();
}

const space = 32;
const isPlain = (code: number) => code > space && code < 127;

function nameAt(block: string, start: number, end: number): KnownName | undefined {
  const colon = block.indexOf(':', start);
  if (colon === -1 || colon >= end) return undefined;
  const name = block.slice(start, colon);
  const isServers = name.startsWith('Nats-') && serverHeaders.has(name);
  return { name, prefix: `${name}:`, isReadable: isHeaderName(name), isServers };
}

/** Ends in both characters of a line break and holds neither, unless it is the last. */
function isLine(block: string, start: number, end: number): boolean {
  return block.indexOf('\n', start) === (end < block.length ? end + 1 : -1);
}

function lineEnd(block: string, start: number): number {
  const end = block.indexOf('\r', start);
  return end === -1 ? block.length : end;
}

/** What prints, without space and colon. */
export function isHeaderName(name: string): boolean {
  if (knownNames.has(name)) return true;
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code < 33 || code > 126) return false;
  }
  return true;
}

/** The same of what the client has read. */
export function clientBlock(read: MsgHdrs | undefined): HeaderBlock {
  const headers: HeaderRecord = {};
  const server: HeaderRecord = {};
  for (const [name, values] of read ?? []) (serverHeaders.has(name) ? server : headers)[name] = values.at(-1) ?? '';
  return { headers, server };
}

/** The headers of a message, from its bytes where the client holds them as it does today. */
export function headerBlock(message: Msg | JsMsg | ServiceMsg): HeaderBlock {
  // A consumer's message wraps the one that came, and so does a service's.
  const raw: unknown = 'msg' in message ? message.msg : message;
  if (!(raw instanceof MsgImpl)) return clientBlock(message.headers);
  const length = raw._msg.hdr;
  if (length <= 0) return { headers: {}, server: {}, text: '' };
  const { buffer, byteOffset } = raw._rdata;
  const text = utf8.decode(new Uint8Array(buffer, byteOffset, length));
  return withText(readHeaderBlock(text), text);
}

const withText = ({ headers, server }: HeaderBlock, text: string): HeaderBlock => ({ headers, server, text });
