import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';

import { PosternError } from '@postern/contracts';
import type { S3Client } from '@aws-sdk/client-s3';

import type { ArchiveStore } from './archive-store.ts';

/** How an object store is reached; what is secret of it. */
export interface S3Settings {
  /** Such as `https://s3.eu-central-1.amazonaws.com`. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3StoreOptions extends S3Settings {
  readonly bucket: string;
  /** Before each name; without a slash at its end. */
  readonly prefix: string;
}

const connectionTimeoutMs = 5_000;
/** Without a byte. */
const silenceMsMax = 30_000;
const attemptsMax = 3;
/** What the protocol takes in one request; larger segments are refused, and smaller epochs are the way out. */
const objectBytesMax = 5 * 1024 ** 3;

/**
 * Archives as objects of an S3-compatible store. Its client is loaded with the first request, by whoever needs it.
 *
 * An object is written from a file of the temporary folder, with its length and hash known before: what comes to nothing on
 * the way leaves no object.
 */
export class S3Store implements ArchiveStore {
  readonly #options: S3StoreOptions;
  #client: Promise<S3Client> | undefined;

  constructor(options: S3StoreOptions) {
    this.#options = options;
  }

  async list(folder: string): Promise<string[]> {
    const prefix = `${this.#key(folder)}/`;
    const names: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.#ask(async (client, { ListObjectsV2Command }) => {
        const place = { Bucket: this.#options.bucket, Prefix: prefix };
        return await client.send(new ListObjectsV2Command({ ...place, ContinuationToken: token }));
      });
      for (const { Key: key = '' } of page.Contents ?? []) names.push(key.slice(prefix.length));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return names;
  }

  async read(path: string): Promise<Readable> {
    const { Body: body } = await this.#ask(async (client, { GetObjectCommand }) => {
      return await client.send(new GetObjectCommand({ Bucket: this.#options.bucket, Key: this.#key(path) }));
    });
    const told = new PassThrough();
    const source = body as Readable;
    source.on('error', (error) => told.destroy(this.#unavailable(error)));
    told.on('close', () => source.destroy());
    return source.pipe(told);
  }

  async write(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-archive-'));
    try {
      const file = join(folder, 'object');
      const { bytes, sha256 } = await written(file, content);
      if (bytes > objectBytesMax) {
        const what = `${this.nameOf(path)} would be ${bytes} bytes, and a store takes ${objectBytesMax} at most`;
        throw new PosternError('log.unavailable', `${what}: open epochs more often.`);
      }
      await this.#ask(async (client, { PutObjectCommand }) => {
        const object = { Bucket: this.#options.bucket, Key: this.#key(path), Body: createReadStream(file) };
        await client.send(new PutObjectCommand({ ...object, ContentLength: bytes, ChecksumSHA256: sha256 }));
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  nameOf(path: string): string {
    return `s3://${this.#options.bucket}/${this.#key(path)}`;
  }

  #key(path: string): string {
    return this.#options.prefix === '' ? path : `${this.#options.prefix}/${path}`;
  }

  async #ask<T>(work: (client: S3Client, sdk: typeof import('@aws-sdk/client-s3')) => Promise<T>): Promise<T> {
    const sdk = await import('@aws-sdk/client-s3');
    this.#client ??= Promise.resolve(this.#made(sdk));
    try {
      return await work(await this.#client, sdk);
    } catch (error) {
      throw this.#told(error);
    }
  }

  #made({ S3Client: Client }: typeof import('@aws-sdk/client-s3')): S3Client {
    const { endpoint, region, accessKeyId, secretAccessKey } = this.#options;
    return new Client({
      ...{ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true },
      ...{
        maxAttempts: attemptsMax,
        requestHandler: { connectionTimeout: connectionTimeoutMs, socketTimeout: silenceMsMax },
      },
      // Not every store knows the newer checksums; ours are in the manifest.
      ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
    });
  }

  #told(error: unknown): unknown {
    const { name = '', $metadata: metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
    const status = metadata?.httpStatusCode;
    const place = this.nameOf('');
    if (name === 'NoSuchKey') return new PosternError('log.message_damaged', `An object below ${place} is gone.`);
    if (name === 'NoSuchBucket') return new PosternError('config.invalid', `There is no bucket for ${place}.`);
    if (status === 403 || status === 401) {
      return new PosternError('config.invalid', `The object store refuses us at ${place} (${name}).`);
    }
    return this.#unavailable(error);
  }

  #unavailable(error: unknown): PosternError {
    const { name = 'Error', code } = error as { name?: string; code?: string };
    const what = `The object store at ${this.#options.endpoint} does not answer (${code ?? name}).`;
    return new PosternError('log.unavailable', what, { cause: error });
  }
}

async function written(path: string, content: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const chunk of content) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      await file.writeFile(chunk);
    }
  } finally {
    await file.close();
  }
  return { bytes, sha256: hash.digest('base64') };
}
