import { stat } from 'node:fs/promises';
import { isPosternError } from '@postern/contracts';
import { readKeyRing, type KeyFileAccess } from './key-file.ts';
import type { KeyRing } from './key-ring.ts';

/**
 * The keys of a file as they are now: read again when the file is another one, the keys before it wiped.
 *
 * A file that cannot be read any more takes nothing away: what is in memory goes on and `problem` says why, since an
 * operator's slip must not end every lease.
 *
 * @internal
 */
export class KeyFileWatch {
  readonly #access: KeyFileAccess;
  readonly #timer: NodeJS.Timeout;
  #ring: KeyRing;
  #print: string;
  #checking: Promise<void> = Promise.resolve();
  #problem: string | undefined;
  #closed = false;

  private constructor(
    access: KeyFileAccess,
    read: { readonly ring: KeyRing; readonly print: string },
    checkIntervalMs: number,
  ) {
    this.#access = access;
    this.#ring = read.ring;
    this.#print = read.print;
    this.#timer = setInterval(() => void this.check(), checkIntervalMs).unref();
  }

  /** @throws {PosternError} `config.invalid` */
  static async open(access: KeyFileAccess, options: { readonly checkIntervalMs: number }): Promise<KeyFileWatch> {
    // Taken before the file is read: what is put in its place meanwhile differs from it.
    const print = await printOf(access.keyFile);
    return new KeyFileWatch(access, { ring: await readKeyRing(access), print }, options.checkIntervalMs);
  }

  /** Use it in one go: after a wait it may be another one, and this one wiped. */
  get ring(): KeyRing {
    return this.#ring;
  }

  /** Why the newest file is not in use, in words for an operator. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Reads the file again if it has changed by now: a look that has begun before may have missed it. Never rejects. */
  async check(): Promise<void> {
    this.#checking = this.#checking.then(() => this.#check());
    await this.#checking;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#ring.wipe();
  }

  async #check(): Promise<void> {
    try {
      const print = await printOf(this.#access.keyFile);
      if (this.#closed || print === this.#print) return;
      const ring = await readKeyRing(this.#access);
      const before = this.#closed ? ring : this.#ring;
      if (!this.#closed) [this.#ring, this.#print, this.#problem] = [ring, print, undefined];
      before.wipe();
    } catch (error) {
      this.#problem = isPosternError(error) ? error.message : 'The key file cannot be read.';
    }
  }
}

/** Another text has another one: files are replaced, and a replaced file has another inode or time. */
async function printOf(keyFile: string): Promise<string> {
  const found = await stat(keyFile, { bigint: true }).catch(() => undefined);
  return found === undefined ? 'missing' : `${found.dev}/${found.ino}/${found.size}/${found.mtimeNs}/${found.ctimeNs}`;
}
