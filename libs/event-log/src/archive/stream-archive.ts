import { createHash, type Hash } from 'node:crypto';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';

import { ArchiveManifest, isPosternError, PosternError, streams, type ProvenStream } from '@postern/contracts';

import type { BoundedReadRequest, StoredMessage } from '../event-log.ts';
import { exportMessage, importMessage } from '../exported-message.ts';
import { subjectMatches } from '../subject-filter.ts';
import { FolderStore, type ArchiveStore } from './archive-store.ts';

/** What the beginning of a log was, once it is dropped from its stream. */
export interface Archive {
  /**
   * Up to where it holds every message from position 1 on; 0 when it holds none.
   *
   * @param wanted how far it is needed: an archive that is known to reach so far is not looked at again.
   */
  lastPosition(wanted?: number): Promise<number>;
  read(request: BoundedReadRequest): AsyncIterable<StoredMessage>;
  /** The last message on a literal subject, at or before a position. */
  last(subject: string, untilPosition: number): Promise<StoredMessage | undefined>;
}

const suffix = { messages: '.ndjson.gz', manifest: '.json' } as const;

/**
 * The archive of one stream: a file a segment with an export's lines, gzipped, and beside it a manifest with its hash and
 * the checkpoint that speaks of its last position. Segments follow each other without a gap from position 1 on.
 *
 * Nothing of it needs to be believed: whoever reads on from it grows the tree and compares it with the checkpoint.
 */
export class StreamArchive implements Archive {
  readonly #store: ArchiveStore;
  readonly #name: string;
  /** By name: a manifest is written once. */
  readonly #manifests = new Map<string, ArchiveManifest>();

  /** @param place of all streams' archives: a folder, made when the first segment is written, or a store. */
  constructor(place: string | ArchiveStore, stream: ProvenStream) {
    this.#name = streams[stream].name;
    this.#store = typeof place === 'string' ? new FolderStore(place) : place;
  }

  /**
   * @throws {PosternError} `log.message_damaged` for a manifest that is none, or a segment that does not follow;
   *   `log.unavailable` where the store does not answer.
   */
  async segments(): Promise<ArchiveManifest[]> {
    const names = (await this.#store.list(this.#name)).filter((name) => name.endsWith(suffix.manifest));
    const manifests: ArchiveManifest[] = [];
    for (const name of names) manifests.push(await this.#manifest(name));
    manifests.sort((one, other) => one.from - other.from);
    const place = this.#store.nameOf(this.#name);
    for (const [index, { stream, from }] of manifests.entries()) {
      const after = manifests[index - 1]?.to ?? 0;
      if (stream !== this.#name) throw damaged(`${place} holds an archive of ${stream}`);
      if (from !== after + 1) throw damaged(`${place}: position ${from} is archived after ${after}`);
    }
    return manifests;
  }

  async lastPosition(): Promise<number> {
    return (await this.segments()).at(-1)?.to ?? 0;
  }

  /**
   * Reads in order. The hash of each segment that is read to its end is compared with its manifest's.
   *
   * @throws {PosternError} `log.message_damaged` with the file, also for a byte that was changed in it; `log.unavailable` where
   *   the store does not answer.
   */
  async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const { filter, fromPosition = 1, untilPosition = Infinity, sinceMs = 0 } = request;
    for (const segment of await this.segments()) {
      if (segment.to < fromPosition || segment.from > untilPosition) continue;
      for await (const message of this.#messages(segment)) {
        const { position, subject, timeMs } = message;
        if (position > untilPosition) return;
        if (position >= fromPosition && timeMs >= sinceMs && subjectMatches(filter, subject)) yield message;
      }
    }
  }

  async last(subject: string, untilPosition: number): Promise<StoredMessage | undefined> {
    let last: StoredMessage | undefined;
    for await (const message of this.read({ filter: subject, untilPosition })) last = message;
    return last;
  }

  /**
   * Writes the next segment.
   *
   * @param checkpoint the signed note of the tree whose size is `to`.
   * @effect Two new files, durable when it resolves; none when it fails. To be repeated from the beginning.
   */
  async write(
    messages: AsyncIterable<StoredMessage>,
    { to, checkpoint }: { readonly to: number; readonly checkpoint: string },
  ): Promise<ArchiveManifest> {
    const from = (await this.lastPosition()) + 1;
    const base = this.#base(from, to);
    const hash = createHash('sha256');
    let count = 0;
    async function* lines() {
      for await (const message of messages) {
        count += 1;
        yield `${JSON.stringify(exportMessage(message))}\n`;
      }
    }
    const gzip = createGzip();
    // What breaks in it breaks the writing below.
    const filling = pipeline(Readable.from(lines()), gzip).catch(() => undefined);
    await this.#store.write(`${base}${suffix.messages}`, hashed(gzip, hash));
    await filling;
    const manifest = { stream: this.#name, from, to, messages: count, sha256: hash.digest('hex'), checkpoint };
    const text = `${JSON.stringify(manifest, null, 2)}\n`;
    await this.#store.write(`${base}${suffix.manifest}`, Readable.from([Buffer.from(text)]));
    return manifest;
  }

  async *#messages({ from, to, sha256 }: ArchiveManifest): AsyncIterable<StoredMessage> {
    const path = `${this.#base(from, to)}${suffix.messages}`;
    const name = this.#store.nameOf(path);
    const hash = createHash('sha256');
    const gunzip = createGunzip();
    // What breaks in it breaks the reading below.
    const feeding = pipeline(await this.#store.read(path), hashing(hash), gunzip).catch(() => undefined);
    let lineNumber = 0;
    try {
      let rest = '';
      for await (const chunk of gunzip.setEncoding('utf8') as AsyncIterable<string>) {
        const text = rest + chunk;
        const end = text.lastIndexOf('\n') + 1;
        rest = text.slice(end);
        for (const line of text.slice(0, end).split('\n')) {
          if (line === '') continue;
          lineNumber += 1;
          yield importMessage(line, lineNumber);
        }
      }
      await feeding;
    } catch (cause) {
      if (isPosternError(cause) && cause.code === 'log.unavailable') throw cause;
      throw damaged(`${name} cannot be read behind line ${lineNumber}`, cause);
    } finally {
      gunzip.destroy();
    }
    if (hash.digest('hex') !== sha256) throw damaged(`${name} is not what was archived: its hash is another one`);
  }

  #base(from: number, to: number): string {
    return `${this.#name}/${String(from).padStart(12, '0')}-${String(to).padStart(12, '0')}`;
  }

  async #manifest(name: string): Promise<ArchiveManifest> {
    const known = this.#manifests.get(name);
    if (known !== undefined) return known;
    const path = `${this.#name}/${name}`;
    const pieces: Buffer[] = [];
    try {
      for await (const piece of await this.#store.read(path)) pieces.push(piece as Buffer);
      const manifest = ArchiveManifest.parse(JSON.parse(Buffer.concat(pieces).toString('utf8')));
      this.#manifests.set(name, manifest);
      return manifest;
    } catch (cause) {
      if (isPosternError(cause)) throw cause;
      throw damaged(`${this.#store.nameOf(path)} is no manifest of an archive`, cause);
    }
  }
}

async function* hashed(bytes: AsyncIterable<Uint8Array>, hash: Hash): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
}

function hashing(hash: Hash): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
}

function damaged(what: string, cause?: unknown): PosternError {
  return new PosternError('log.message_damaged', `${what}.`, { cause });
}
