import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { PosternError } from '@postern/contracts';
import type { BuildOptions } from './go-build.ts';
import type { Program } from './programs.ts';
import { versionOf } from './version.ts';

/** `testcontainers` is loaded only when it is needed: it is large, and most machines never come here. */
async function engine(): Promise<typeof import('testcontainers') | undefined> {
  try {
    const testcontainers = await import('testcontainers');
    await testcontainers.getContainerRuntimeClient();
    return testcontainers;
  } catch {
    return undefined;
  }
}

function unpack(archive: NodeJS.ReadableStream, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const tar = spawn('tar', ['-xf', '-', '-C', folder], { stdio: ['pipe', 'ignore', 'ignore'] });
    tar.once('error', reject);
    tar.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`tar ended with code ${code}`))));
    tar.stdin.on('error', reject);
    archive.once('error', reject).pipe(tar.stdin);
  });
}

async function copyOut(
  { GenericContainer }: typeof import('testcontainers'),
  { image, imagePath }: { image: string; imagePath: string },
  folder: string,
): Promise<string> {
  const container = await new GenericContainer(image).start();
  try {
    await unpack(await container.copyArchiveFromContainer(imagePath), folder);
    return join(folder, basename(imagePath));
  } finally {
    await container.stop();
  }
}

/**
 * Takes a program out of its official image, through the Docker engine, into the tool cache.
 *
 * The program itself then runs on this machine, not in a container: so the watchdog, the free ports and the data
 * folders are the same whatever the source. That needs an engine whose programs this machine can run, so Linux.
 *
 * @returns undefined when no engine answers or its programs do not run here.
 * @throws {PosternError} `servers.build_failed` when the image cannot be had.
 */
export async function takeFromImage(
  program: Program,
  { cacheDir, env, onProgress }: BuildOptions,
): Promise<{ path: string; version: string } | undefined> {
  if (process.platform !== 'linux') return undefined;
  const testcontainers = await engine();
  if (!testcontainers) return undefined;
  const image = env[program.imageVariable] ?? program.image;
  onProgress(`Taking ${program.name} from the image ${image}`);
  mkdirSync(cacheDir, { recursive: true, mode: 0o755 });
  const folder = mkdtempSync(join(cacheDir, `${program.name}-image-`));
  try {
    const copy = await copyOut(testcontainers, { image, imagePath: program.imagePath }, folder);
    chmodSync(copy, 0o755);
    const version = await versionOf(copy);
    if (version === undefined) return undefined;
    const path = join(cacheDir, `${program.name}-${version}`);
    if (!existsSync(path)) renameSync(copy, path);
    return { path, version };
  } catch (error) {
    throw new PosternError('servers.build_failed', `${program.name} could not be taken from the image ${image}`, {
      cause: error,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
