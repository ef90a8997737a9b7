import type { Readable } from 'node:stream';

import { PosternError } from '@postern/contracts';

export interface RawBodyLimits {
  /** No body is longer. */
  readonly bytesMax: number;
  /** From its first byte that we wait for to its last. */
  readonly timeoutMs: number;
  /** All unfinished bodies together; over it, whoever has been sending for longest goes. */
  readonly unfinishedBytesMax: number;
}

interface Reading {
  bytes: number;
  readonly giveUp: (error: PosternError) => void;
}

/**
 * Reads bodies as bytes, within limits of size, time and memory.
 *
 * A sender that means it sends in one go. So when unfinished bodies together need more memory than they may, the eldest
 * of them is dropped: many that drip can push out each other, and nobody who is quick.
 */
export class RawBodies {
  readonly #limits: RawBodyLimits;
  /** In the order in which they began. */
  readonly #unfinished = new Set<Reading>();
  #bytes = 0;

  constructor(limits: RawBodyLimits) {
    this.#limits = limits;
  }

  /** How much memory unfinished bodies hold now. */
  get unfinishedBytes(): number {
    return this.#bytes;
  }

  /** @throws {PosternError} `request.too_large`, `request.too_slow`, `request.malformed` when the sender goes away */
  async read(stream: Readable, announcedBytes: number | undefined): Promise<Buffer> {
    const { bytesMax } = this.#limits;
    if (announcedBytes !== undefined && announcedBytes > bytesMax) throw tooLarge(bytesMax);
    const chunks: Buffer[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const reading: Reading = { bytes: 0, giveUp: reject };
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      this.#grow(reading, chunk.length);
    };
    const onEnd = () => resolve(Buffer.concat(chunks));
    const onGone = () => reject(new PosternError('request.malformed', 'The body ended before its end.'));
    const timer = setTimeout(() => reject(tooSlow()), this.#limits.timeoutMs);
    this.#unfinished.add(reading);
    stream.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      stream.off('data', onData).off('end', onEnd).off('close', onGone);
      this.#unfinished.delete(reading);
      this.#bytes -= reading.bytes;
    }
  }

  #grow(reading: Reading, bytes: number): void {
    reading.bytes += bytes;
    this.#bytes += bytes;
    if (reading.bytes > this.#limits.bytesMax) return reading.giveUp(tooLarge(this.#limits.bytesMax));
    if (this.#bytes <= this.#limits.unfinishedBytesMax) return;
    const [eldest] = this.#unfinished;
    if (eldest === undefined) return;
    this.#unfinished.delete(eldest);
    eldest.giveUp(tooSlow());
  }
}

function tooLarge(bytesMax: number): PosternError {
  return new PosternError('request.too_large', `A body here has at most ${bytesMax} bytes.`);
}

function tooSlow(): PosternError {
  return new PosternError('request.too_slow', 'The body did not come in time.');
}
