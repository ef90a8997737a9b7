import { subjects } from '@postern/contracts';
import { aggregateOf, logLeafHash, type CommitReader, type EventLog, type LogEntry } from '@postern/event-log';

import type { Appearances } from './appearances.ts';
import { SnapshotFiles, type Segment } from './snapshot-files.ts';

export interface AppearanceSnapshotsOptions {
  readonly folder: string;
  /** A segment ends at each multiple of it. */
  readonly positionsEach: number;
  /** CONNECTIONS, with what was archived of it. */
  readonly whole: EventLog;
  readonly reader: CommitReader;
  readonly appearances: Appearances;
  /** A snapshot does not hold, or tells something else than the log does. */
  readonly onProblem: (problem: string) => void;
}

/**
 * Which connections there are, kept on disk as the watch over the log finds them, so that whoever starts need not read the
 * whole log before it can be asked about the past.
 *
 * It tells where to look, and nothing else: what a connection was is proven from the log each time. Nor is it believed for
 * ever: the watch reads the log from its first message all the same, and makes each segment anew. Where that is another one
 * than was recalled, this is said, nothing that was recalled counts any more, and the log is read.
 */
export class AppearanceSnapshots {
  readonly #options: AppearanceSnapshotsOptions;
  readonly #files: SnapshotFiles;
  /** Up to where `appearances` holds all. */
  #covered = 0;
  #isRecalled = false;
  /** Was something recalled that is not so? */
  #isRefuted = false;
  #covering: Promise<void> = Promise.resolve();
  #writing: Promise<void> = Promise.resolve();
  #rows: Segment['rows'][number][] = [];
  /** Where the segment begins that is being made; undefined until the watch has said where it begins. */
  #from: number | undefined;

  constructor(options: AppearanceSnapshotsOptions) {
    this.#options = options;
    this.#files = new SnapshotFiles(options.folder);
  }

  /** Is what was recalled at the start there to be asked? */
  get isRecalled(): boolean {
    return this.#isRecalled;
  }

  /** What was recalled was not so: only what is read anew counts, and not what the watch comes by later. */
  get isRefuted(): boolean {
    return this.#isRefuted;
  }

  /**
   * Takes what was kept, where it is of this log and can be read; nobody needs it to be.
   *
   * @param firstPosition that stands in the stream, with which the watch begins.
   */
  async recall(firstPosition: number): Promise<void> {
    const { positionsEach, onProblem } = this.#options;
    // Of the segment in which the log was cut the watch does not read all.
    this.#from = Math.ceil((firstPosition - 1) / positionsEach) * positionsEach + 1;
    try {
      await this.#recall();
    } catch (error) {
      onProblem(`no snapshot can be read: ${String(error)}`);
    }
  }

  async #recall(): Promise<void> {
    const { whole, appearances, onProblem } = this.#options;
    const { segments, problem } = this.#files.read();
    if (problem !== undefined) onProblem(problem);
    const last = segments.at(-1);
    if (last === undefined) return;
    if ((await identityAt(whole, last.to)) !== last.logIdentity) {
      onProblem(`at position ${last.to} stands another message than where they were made`);
      this.#files.forget();
      return;
    }
    for (const { rows } of segments) {
      for (const [tenantId, connectionId, position] of rows) appearances.add({ tenantId, connectionId, position });
    }
    this.#isRecalled = true;
    this.#covered = last.to;
  }

  /** The watch has come so far: then nothing before that need be read once more. */
  watched(position: number): void {
    if (!this.#isRefuted) this.#covered = Math.max(this.#covered, position);
  }

  /** Resolves once all that appeared up to a position is known; reads what came since, once for all who ask. */
  async cover(position: number): Promise<void> {
    if (position <= this.#covered) return;
    const covering = this.#covering.catch(() => undefined).then(() => this.#read(position));
    covering.catch(() => undefined);
    this.#covering = covering;
    await covering;
  }

  /** The watch has read this commit. */
  passed({ position, commit }: Pick<LogEntry, 'position' | 'commit'>): void {
    this.#closeBefore(position);
    const { revision, tenantId, aggregateId } = commit;
    if (revision === 1) this.#rows.push([tenantId, aggregateId, position]);
  }

  /** Resolves when what the watch has passed stands in files. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #read(untilPosition: number): Promise<void> {
    if (untilPosition <= this.#covered) return;
    const { whole, reader, appearances } = this.#options;
    const range = { fromPosition: this.#covered + 1, untilPosition };
    for await (const message of whole.read({ filter: subjects.allConnections, ...range })) {
      const id = aggregateOf(message.subject)?.id;
      if (id === undefined || appearances.has(id)) continue;
      const read = reader.read(message);
      if (read.kind === 'commit' && read.entry.commit.revision === 1) appearances.note(read.entry);
    }
    this.#covered = Math.max(this.#covered, untilPosition);
  }

  #closeBefore(position: number): void {
    const { positionsEach } = this.#options;
    for (let from = this.#from; from !== undefined && position >= from + positionsEach; from = this.#from) {
      const to = from + positionsEach - 1;
      const begun = from;
      const rows = this.#rows.filter((row) => row[2] >= begun);
      this.#rows = [];
      this.#from = to + 1;
      this.#writing = this.#writing.then(() => this.#keep({ from: begun, to, rows }));
    }
  }

  async #keep(segment: Omit<Segment, 'logIdentity'>): Promise<void> {
    try {
      await this.#write(segment);
    } catch (error) {
      this.#options.onProblem(`the snapshot up to ${segment.to} was not written: ${String(error)}`);
    }
  }

  async #write(segment: Omit<Segment, 'logIdentity'>): Promise<void> {
    const logIdentity = await identityAt(this.#options.whole, segment.to);
    // Dropped meanwhile.
    if (logIdentity === undefined) return;
    if (this.#files.write({ ...segment, logIdentity })) return;
    this.#options.onProblem(`what was kept up to position ${segment.to} is not what the log tells`);
    this.#isRefuted = true;
    this.#options.appearances.clear();
    this.#covered = 0;
  }
}

async function identityAt(log: EventLog, position: number): Promise<string | undefined> {
  const message = await log.at(position);
  return message && Buffer.from(logLeafHash(message)).toString('base64url');
}
