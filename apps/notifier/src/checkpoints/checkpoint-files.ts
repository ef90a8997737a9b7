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
}

/**
 * The checkpoints of one stream as files: `<stream>.checkpoint` is the newest, `<stream>/<size>.checkpoint` those before.
 *
 * Each appears whole or not at all. What a file holds is never taken back: whoever has it outside compares.
 */
export class CheckpointFiles {
  readonly #options: FilesOptions;
  readonly #newest: string;
  readonly #bySize: string;

  constructor(options: FilesOptions) {
    this.#options = options;
    this.#newest = join(options.dir, `${options.name}.checkpoint`);
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
    mkdirSync(this.#bySize, { recursive: true });
    writeWhole(join(this.#bySize, `${next.size}.checkpoint`), note);
    writeWhole(this.#newest, note);
    this.#prune();
    return 'dropped';
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
      .map((name) => /^(\d+)\.checkpoint$/.exec(name)?.[1])
      .filter((size) => size !== undefined)
      .toSorted((one, other) => Number(other) - Number(one));
    for (const size of sizes.slice(this.#options.filesMax)) rmSync(join(this.#bySize, `${size}.checkpoint`));
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
