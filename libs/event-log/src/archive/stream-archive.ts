import {
  createReadStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { createHash, type Hash } from 'node:crypto';

import { ArchiveManifest, PosternError, streams, type ProvenStream } from '@postern/contracts';

import type { BoundedReadRequest, StoredMessage } from '../event-log.ts';
import { exportMessage, importMessage } from '../exported-message.ts';
import { subjectMatches } from '../subject-filter.ts';

/** What the beginning of a log was, once it is dropped from its stream. */
export interface Archive {
  /** Up to where it holds every message from position 1 on; 0 when it holds none. */
  lastPosition(): number;
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
  readonly #folder: string;
  readonly #name: string;

  /** @param folder of all streams' archives; made when the first segment is written. */
  constructor(folder: string, stream: ProvenStream) {
    this.#name = streams[stream].name;
    this.#folder = join(folder, this.#name);
  }

  /** @throws {PosternError} `log.message_damaged` for a manifest that is none, or a segment that does not follow. */
  segments(): ArchiveManifest[] {
    if (!existsSync(this.#folder)) return [];
    const manifests = readdirSync(this.#folder)
      .filter((name) => name.endsWith(suffix.manifest))
      .map((name) => this.#manifest(name))
      .toSorted((one, other) => one.from - other.from);
    for (const [index, { stream, from }] of manifests.entries()) {
      const after = manifests[index - 1]?.to ?? 0;
      if (stream !== this.#name) throw damaged(`${this.#folder} holds an archive of ${stream}`);
      if (from !== after + 1) throw damaged(`${this.#folder}: position ${from} is archived after ${after}`);
    }
    return manifests;
  }

  lastPosition(): number {
    return this.segments().at(-1)?.to ?? 0;
  }

  /**
   * Reads in order. The hash of each segment that is read to its end is compared with its manifest's.
   *
   * @throws {PosternError} `log.message_damaged` with the file, also for a byte that was changed in it.
   */
  async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const { filter, fromPosition = 1, untilPosition = Infinity, sinceMs = 0 } = request;
    for (const segment of this.segments()) {
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
    const from = this.lastPosition() + 1;
    const base = join(this.#folder, `${String(from).padStart(12, '0')}-${String(to).padStart(12, '0')}`);
    const unfinished = `${base}.unfinished`;
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const hash = createHash('sha256');
    let count = 0;
    async function* lines() {
      for await (const message of messages) {
        count += 1;
        yield `${JSON.stringify(exportMessage(message))}\n`;
      }
    }
    try {
      const file = await open(unfinished, 'w', 0o600);
      await pipeline(Readable.from(lines()), createGzip(), hashing(hash), file.createWriteStream({ flush: true }));
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
    const sha256 = hash.digest('hex');
    const manifest = { stream: this.#name, from, to, messages: count, sha256, checkpoint };
    renameSync(unfinished, `${base}${suffix.messages}`);
    writeFileSync(`${base}${suffix.manifest}`, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
    return manifest;
  }

  async *#messages({ from, to, sha256 }: ArchiveManifest): AsyncIterable<StoredMessage> {
    const path = join(
      this.#folder,
      `${String(from).padStart(12, '0')}-${String(to).padStart(12, '0')}${suffix.messages}`,
    );
    const hash = createHash('sha256');
    const gunzip = createGunzip();
    // What breaks in it breaks the reading below.
    const feeding = pipeline(createReadStream(path), hashing(hash), gunzip).catch(() => undefined);
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
      throw damaged(`${path} cannot be read behind line ${lineNumber}`, cause);
    } finally {
      gunzip.destroy();
    }
    if (hash.digest('hex') !== sha256) throw damaged(`${path} is not what was archived: its hash is another one`);
  }

  #manifest(name: string): ArchiveManifest {
    const path = join(this.#folder, name);
    try {
      return ArchiveManifest.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch (cause) {
      throw damaged(`${path} is no manifest of an archive`, cause);
    }
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
