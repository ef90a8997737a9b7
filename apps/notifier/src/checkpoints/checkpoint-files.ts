import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import type { CheckpointReader } from '@postern/event-log';

type OpenedCheckpoint = NonNullable<ReturnType<CheckpointReader['note']>>;

/** What became of a checkpoint. */
export type Dropped =
  | 'dropped'
  | 'known'
  /** Of fewer messages than what was dropped before, or of as many others: the log is not what it was. */
  | 'contradicts';

interface FilesOptions {
  readonly dir: string;
  /** The stream's name. */
  readonly name: string;
  /** Reads a note that a trusted key signed. */
  readonly open: (note: string) => OpenedCheckpoint | undefined;
  readonly filesMax: number;
  /** What their names end in. */
  readonly extension: 'checkpoint' | 'cosigned';
}

/**
 * The checkpoints of one stream as files: `<stream>.checkpoint` is the newest, `<stream>/<size>.checkpoint` those before;
 * those that witnesses have cosigned end in `.cosigned`.
 *
 * Each appears whole or not at all. What a file holds is never taken back: whoever has it outside compares.
 */
export class CheckpointFiles {
  readonly #options: FilesOptions;
  readonly #newest: string;
  readonly #bySize: string;

  constructor(options: FilesOptions) {
    this.#options = options;
    this.#newest = join(options.dir, `${options.name}.${options.extension}`);
    this.#bySize = join(options.dir, options.name);
  }

  /** @effect Files, durable when it returns. May be repeated. */
  drop(note: string): Dropped {
    const next = this.#options.open(note);
    if (next === undefined) return 'contradicts';
    const before = this.#standing();
    if (before !== undefined && before.size >= next.size) {
      return before.size === next.size && before.root.equals(next.root) ? 'known' : 'contradicts';
    }
    this.#write(next.size, note);
    writeWhole(this.#newest, note);
    this.#prune();
    return 'dropped';
  }

  /**
   * Keeps a note under which more signatures stand than under the one before it, or which comes late.
   *
   * @effect As {@link CheckpointFiles.drop}; the newest stays the newest.
   */
  keep(note: string): Dropped {
    const next = this.#options.open(note);
    const before = this.#standing();
    if (next === undefined) return 'contradicts';
    if (before?.size === next.size && !before.root.equals(next.root)) return 'contradicts';
    this.#write(next.size, note);
    if (before === undefined || before.size <= next.size) writeWhole(this.#newest, note);
    this.#prune();
    return 'dropped';
  }

  #write(size: number, note: string): void {
    mkdirSync(this.#bySize, { recursive: true });
    writeWhole(this.#pathOf(size), note);
  }

  #pathOf(size: number | string): string {
    return join(this.#bySize, `${size}.${this.#options.extension}`);
  }

  #standing(): OpenedCheckpoint | undefined {
    try {
      return this.#options.open(readFileSync(this.#newest, 'utf8'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  #prune(): void {
    const sizes = readdirSync(this.#bySize)
      .map((name) => /^(\d+)\.([a-z]+)$/.exec(name) ?? [])
      .filter(([, , extension]) => extension === this.#options.extension)
      .map(([, size = '']) => size)
      .toSorted((one, other) => Number(other) - Number(one));
    for (const size of sizes.slice(this.#options.filesMax)) rmSync(this.#pathOf(size));
  }
}

function writeWhole(path: string, content: string): void {
  const file = openSync(`${path}.new`, 'w', 0o644);
  try {
    writeSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
}
