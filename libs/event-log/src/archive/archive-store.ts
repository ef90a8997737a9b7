import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Where archives are kept: named contents in folders, each written once and whole. */
export interface ArchiveStore {
  /** The names in a folder; none where nothing was ever written. @throws {PosternError} `log.unavailable` */
  list(folder: string): Promise<string[]>;
  /** @throws {PosternError} `log.unavailable` where the place does not answer, also in the midst of it. */
  read(path: string): Promise<Readable>;
  /** @effect Durable when it resolves, and whole; nothing stands there when it fails. May be repeated. */
  write(path: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** What it is called to a person. */
  nameOf(path: string): string;
}

/** Archives as files below a folder, which is made when the first one is written. */
export class FolderStore implements ArchiveStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async list(folder: string): Promise<string[]> {
    const path = this.nameOf(folder);
    return existsSync(path) ? readdirSync(path) : [];
  }

  async read(path: string): Promise<Readable> {
    return createReadStream(this.nameOf(path));
  }

  async write(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const target = this.nameOf(path);
    const unfinished = `${target}.unfinished`;
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    try {
      const file = await open(unfinished, 'w', 0o600);
      await pipeline(Readable.from(content), file.createWriteStream({ flush: true }));
      renameSync(unfinished, target);
    } catch (error) {
      rmSync(unfinished, { force: true });
      throw error;
    }
  }

  nameOf(path: string): string {
    return join(this.#folder, path);
  }
}
