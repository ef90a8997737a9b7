import { mkdtempSync, rmSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { PosternError } from '@postern/contracts';

import type { BoundedReadRequest, StoredMessage } from '../event-log.ts';
import { exportMessage, importMessage } from '../exported-message.ts';
import { subjectMatches } from '../subject-filter.ts';
import type { Archive } from './stream-archive.ts';

/** Lines are written to, and read from, the file in pieces of about so much. */
const pieceBytes = 1024 * 1024;

/**
 * An archive that is asked for single messages again and again: those of one subject, or from one position on.
 *
 * The first question reads the whole archive once, the hash of each segment included, and lays its lines into a file that
 * has no name any more (it goes with the process), next to where in it each message lies. That is a cache and no truth:
 * whoever makes it anew from the archive gets the same. Memory: about 40 bytes a message; disk: its lines, not gzipped.
 */
export class ArchiveIndex implements Archive {
  readonly #archive: Archive;
  #lines: Promise<Lines> | undefined;
  #opened: Lines | undefined;
  #isClosed = false;

  constructor(archive: Archive) {
    this.#archive = archive;
  }

  async lastPosition(wanted = Infinity): Promise<number> {
    const known = (await this.#lines?.catch(() => undefined))?.lastPosition ?? 0;
    return known >= wanted ? known : await this.#archive.lastPosition(wanted);
  }

  /** @throws {PosternError} `log.message_damaged` for an archive that is not what was archived. */
  async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const lines = await this.#reaching(request.untilPosition);
    yield* lines.read(request);
  }

  /** @throws {PosternError} `log.message_damaged`, as reading does. */
  async last(subject: string, untilPosition: number): Promise<StoredMessage | undefined> {
    const lines = await this.#reaching(untilPosition);
    return await lines.last(subject, untilPosition);
  }

  /** @effect Ends the file, and with it a reading that may be waiting for an archive that does not answer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#opened?.close();
  }

  async #reaching(position = Infinity): Promise<Lines> {
    return await this.#upToDate(Math.min(position, await this.lastPosition(position)));
  }

  /** Goes on where the archive has grown; one reading at a time, which all who ask meanwhile wait for. */
  async #upToDate(position: number): Promise<Lines> {
    const before = this.#lines;
    const known = await before?.catch(() => undefined);
    if (known !== undefined && known.lastPosition >= position) return known;
    // Somebody else has begun meanwhile.
    if (this.#lines !== before) return await this.#upToDate(position);
    this.#lines = this.#grown(known);
    return await this.#lines;
  }

  async #grown(known: Lines | undefined): Promise<Lines> {
    const lines = known ?? (await Lines.create());
    this.#opened = lines;
    try {
      // Nobody would close it any more, and Node ends a process that loses an open file.
      if (this.#isClosed) throw new PosternError('log.unavailable', 'The archive is not read any more.');
      const untilPosition = await this.#archive.lastPosition();
      for await (const message of this.#archive.read({
        filter: '>',
        fromPosition: lines.lastPosition + 1,
        untilPosition,
      })) {
        await lines.add(message);
      }
      await lines.flush(untilPosition);
      return lines;
    } catch (error) {
      await lines.close();
      throw error;
    }
  }
}

/** Where a message lies among the lines. */
interface Place {
  readonly index: number;
  readonly offset: number;
}

class Lines {
  readonly #file: FileHandle;
  readonly #positions: number[] = [];
  /** Where the line of each begins, and at last where the next one will. */
  readonly #offsets: number[] = [0];
  readonly #bySubject = new Map<string, number[]>();
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lastPosition = 0;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async create(): Promise<Lines> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-archive-'));
    try {
      return new Lines(await open(join(folder, 'lines'), 'wx+', 0o600));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  get lastPosition(): number {
    return this.#lastPosition;
  }

  async add(message: StoredMessage): Promise<void> {
    const { subject, position } = message;
    const line = Buffer.from(`${JSON.stringify(exportMessage(message))}\n`);
    const ofSubject = this.#bySubject.get(subject);
    if (ofSubject === undefined) this.#bySubject.set(subject, [this.#positions.length]);
    else ofSubject.push(this.#positions.length);
    this.#positions.push(position);
    this.#offsets.push((this.#offsets.at(-1) ?? 0) + line.length);
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes >= pieceBytes) await this.#write();
  }

  async flush(lastPosition: number): Promise<void> {
    await this.#write();
    this.#lastPosition = lastPosition;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async *read({ filter, fromPosition = 1, untilPosition = Infinity, sinceMs = 0, lastPerSubject }: BoundedReadRequest) {
    const isLiteral = !/[*>]/.test(filter);
    const first = firstAtOrAfter(this.#positions, fromPosition);
    const end = firstAtOrAfter(this.#positions, untilPosition + 1);
    const found = isLiteral ? this.#ofSubject(filter, first, end) : this.#between(first, end);
    const wanted = (message: StoredMessage) =>
      message.timeMs >= sinceMs && (isLiteral || subjectMatches(filter, message.subject));
    const lasts = new Map<string, StoredMessage>();
    for await (const message of found) {
      if (!wanted(message)) continue;
      if (lastPerSubject === true) lasts.set(message.subject, message);
      else yield message;
    }
    yield* [...lasts.values()].toSorted((one, other) => one.position - other.position);
  }

  async last(subject: string, untilPosition: number): Promise<StoredMessage | undefined> {
    const indexes = this.#bySubject.get(subject) ?? [];
    const index = indexes[firstAtOrAfter(indexes, firstAtOrAfter(this.#positions, untilPosition + 1)) - 1];
    return index === undefined ? undefined : await this.#one(index);
  }

  /** One line after the other: of a subject a few are wanted, mostly its last. */
  async *#ofSubject(subject: string, first: number, end: number): AsyncIterable<StoredMessage> {
    const indexes = this.#bySubject.get(subject) ?? [];
    for (let at = firstAtOrAfter(indexes, first); at < indexes.length; at += 1) {
      const index = indexes[at] ?? end;
      if (index >= end) return;
      const message = await this.#one(index);
      if (message !== undefined) yield message;
    }
  }

  async #one(index: number): Promise<StoredMessage | undefined> {
    const [message] = await this.#messages({ index, offset: this.#offsets[index] ?? 0 }, index + 1);
    return message;
  }

  async *#between(first: number, end: number): AsyncIterable<StoredMessage> {
    for (let index = first; index < end;) {
      const offset = this.#offsets[index] ?? 0;
      const next = Math.min(end, Math.max(index + 1, firstAtOrAfter(this.#offsets, offset + pieceBytes)));
      yield* await this.#messages({ index, offset }, next);
      index = next;
    }
  }

  async #messages({ index, offset }: Place, end: number): Promise<StoredMessage[]> {
    const buffer = Buffer.alloc((this.#offsets[end] ?? offset) - offset);
    await this.#file.read(buffer, 0, buffer.length, offset);
    const lines = buffer.toString('utf8').split('\n');
    return lines.slice(0, end - index).map((line, at) => importMessage(line, index + at + 1));
  }

  async #write(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    const offset = (this.#offsets.at(-1) ?? 0) - bytes.length;
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, offset + done);
      done += bytesWritten;
    }
  }
}

/** The first place in ascending numbers that holds no smaller one. */
function firstAtOrAfter(ascending: readonly number[], wanted: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
