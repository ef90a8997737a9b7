import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ManagedProcess } from './child-process.ts';
import { privateDir } from './data-dir.ts';
import { findVersitygw } from './find-program.ts';
import type { FoundProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { startServer } from './server-process.ts';

const name = 'versitygw';
const healthTimeoutMs = 2_000;
const healthPath = '/health';

export interface ObjectStoreOptions {
  /** The server's own folder; each bucket is a folder in its `buckets`, each object a file. Created when absent. */
  readonly dataDir: string;
  /** A bucket that is there when it starts. */
  readonly bucket: string;
  /** A free one when absent. */
  readonly port?: number;
  /** A program found before; looked for when absent. */
  readonly program?: FoundProgram;
}

/** A running object store that speaks S3. */
export interface ObjectStore extends ManagedProcess {
  readonly url: string;
  readonly port: number;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Where the objects of the bucket lie as files. */
  readonly bucketDir: string;
}

/**
 * Starts the Versity S3 gateway on files: a real object store for tests.
 *
 * @throws {PosternError} `servers.not_found`, `servers.start_failed`
 * @effect a process, a folder; stop it.
 */
export async function startObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const dataDir = privateDir(resolve(options.dataDir));
  const program = options.program ?? (await findVersitygw());
  const [bucketsDir, sidecarDir] = [join(dataDir, 'buckets'), join(dataDir, 'sidecar')];
  const bucketDir = join(bucketsDir, options.bucket);
  for (const made of [bucketDir, sidecarDir]) mkdirSync(made, { recursive: true });
  const region = 'us-east-1';
  const [accessKeyId, secretAccessKey] = ['postern', randomBytes(24).toString('base64url')];
  let port = options.port ?? 0;
  const child = await startServer({
    name,
    dataDir,
    fixedPorts: options.port !== undefined,
    plan: async () => {
      port = options.port ?? (await freePort());
      const address = `127.0.0.1:${port}`;
      const gateway = ['--port', address, '--region', region, '--quiet', '--health', healthPath];
      return {
        name,
        command: program.path,
        args: [...gateway, 'posix', '--sidecar', sidecarDir, bucketsDir],
        cwd: dataDir,
        env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
        logPath: join(dataDir, `${name}.log`),
        isReady: () => isHealthy(`http://${address}${healthPath}`),
      };
    },
  });
  return { ...child, url: `http://127.0.0.1:${port}`, port, region, accessKeyId, secretAccessKey, bucketDir };
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(healthTimeoutMs) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
