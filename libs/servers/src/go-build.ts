import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PosternError } from '@postern/contracts';
import { takeLock } from './file-lock.ts';
import type { Program } from './programs.ts';

const run = promisify(execFile);
const buildTimeoutMs = 45 * 60_000;
const outputBytesMax = 16 * 1024 * 1024;
const outputTailLines = 20;

/** What a build needs: where modules are pinned, where programs are kept, whom to tell. */
export interface BuildOptions {
  readonly toolsDir: string;
  readonly cacheDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (line: string) => void;
}

/** The version that `tools/<name>/go.mod` pins; undefined when there is no such module. */
export function pinnedVersion({ name, goModule }: Program, toolsDir: string): string | undefined {
  const path = join(toolsDir, name, 'go.mod');
  if (!existsSync(path)) return undefined;
  const lines = readFileSync(path, 'utf8').split('\n');
  const words = lines.map((line) =>
    line
      .trim()
      .replace(/^require\s+/, '')
      .split(/\s+/),
  );
  return words.find(([module]) => module === goModule)?.[1]?.replace(/^v/, '');
}

/** Where a program of this version is kept. */
export function cachePath(cacheDir: string, name: string, version: string): string {
  return join(cacheDir, `${name}-${version}`);
}

async function hasGo(env: NodeJS.ProcessEnv): Promise<boolean> {
  return run('go', ['version'], { env }).then(
    () => true,
    () => false,
  );
}

async function compile(
  program: Program,
  { target, version }: { readonly target: string; readonly version: string },
  { toolsDir, env }: BuildOptions,
): Promise<void> {
  const told = program.goVersionVariable === undefined ? '' : ` -X ${program.goVersionVariable}=${version}`;
  const partial = `${target}.${process.pid}.partial`;
  const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', `-s -w${told}`, '-o', partial];
  try {
    await run('go', [...args, program.goPackage], {
      cwd: join(toolsDir, program.name),
      env: { ...env, GOWORK: 'off', ...(!program.cgo && { CGO_ENABLED: '0' }) },
      timeout: buildTimeoutMs,
      maxBuffer: outputBytesMax,
    });
    chmodSync(partial, 0o755);
    renameSync(partial, target);
  } catch (error) {
    const output = String((error as { stderr?: string }).stderr ?? error);
    const tail = output.trim().split('\n').slice(-outputTailLines).join('\n');
    throw new PosternError('servers.build_failed', `${program.name} could not be built with go:\n${tail}`, {
      cause: error,
    });
  } finally {
    rmSync(partial, { force: true });
  }
}

/**
 * Builds a program from its pinned module, with checksums, into the tool cache.
 *
 * Two runs side by side build once: the second waits for the first. The program appears in the cache whole or not
 * at all.
 *
 * @returns the path and version; undefined when no module is pinned or no Go toolchain is there.
 * @throws {PosternError} `servers.build_failed` with the end of the compiler's output.
 * @effect one progress line; a file in the cache. May be repeated.
 */
export async function buildWithGo(
  program: Program,
  options: BuildOptions,
): Promise<{ path: string; version: string } | undefined> {
  const { toolsDir, cacheDir, env, onProgress } = options;
  const version = pinnedVersion(program, toolsDir);
  if (version === undefined || !(await hasGo(env))) return undefined;
  mkdirSync(cacheDir, { recursive: true, mode: 0o755 });
  const path = cachePath(cacheDir, program.name, version);
  const label = `${program.name} ${version}`;
  const lock = await takeLock({
    path: `${path}.lock`,
    waitMsMax: buildTimeoutMs,
    onWait: (pid) => onProgress(`Waiting for process ${pid}, which is building ${label}`),
  });
  if (!lock) throw new PosternError('servers.build_failed', `${label}: another run has been building it for too long`);
  try {
    if (existsSync(path)) return { path, version };
    onProgress(`Building ${label} with go, once (${program.buildTime} on two cores)`);
    await compile(program, { target: path, version }, options);
    return { path, version };
  } finally {
    lock.release();
  }
}
