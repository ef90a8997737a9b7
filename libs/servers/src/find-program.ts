import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PosternError } from '@postern/contracts';
import { takeFromImage } from './docker-program.ts';
import { buildWithGo, pinnedVersion } from './go-build.ts';
import { programs } from './programs.ts';
import type { Program, ProgramName } from './programs.ts';
import { isAtLeast, parseVersion, versionOf } from './version.ts';

/** Where a program was found, in the order of looking. */
export type ProgramSource = 'env' | 'path' | 'cache' | 'go' | 'docker';

/** A server program that may be started. */
export interface FoundProgram {
  readonly path: string;
  /** Three parts, no leading v. */
  readonly version: string;
  readonly source: ProgramSource;
}

export interface FindOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Where to look; all sources when absent. Without `go` and `docker` nothing is built or fetched. */
  readonly sources?: readonly ProgramSource[];
  /** The folder of pinned modules; the repository's `tools` when absent. */
  readonly toolsDir?: string;
  /** Hears the progress line of a build; standard error when absent. */
  readonly onProgress?: (line: string) => void;
}

interface Search {
  readonly program: Program;
  readonly env: NodeJS.ProcessEnv;
  readonly toolsDir: string;
  readonly cacheDir: string;
  readonly onProgress: (line: string) => void;
  /** What was found and refused for its age, in words. */
  readonly tooOld: string[];
}

type Finder = (search: Search) => Promise<Omit<FoundProgram, 'source'> | undefined>;

const repositoryTools = fileURLToPath(new URL('../../../tools/', import.meta.url));

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

async function fromEnv({ program, env, tooOld }: Search): Promise<Omit<FoundProgram, 'source'> | undefined> {
  const { name, variable, versionMin } = program;
  const path = env[variable];
  if (path === undefined || path === '') return undefined;
  const version = isExecutable(path) ? await versionOf(path) : undefined;
  if (version === undefined) {
    throw new PosternError('servers.not_found', `${variable} names ${path}, which is not a ${name} that runs`);
  }
  if (isAtLeast(version, versionMin)) return { path, version };
  tooOld.push(`${path} (${variable}) is ${version}`);
  throw tooOldError(program, tooOld);
}

async function firstFresh(
  candidates: readonly string[],
  { program, tooOld }: Search,
): Promise<Omit<FoundProgram, 'source'> | undefined> {
  for (const path of candidates.filter(isExecutable)) {
    const version = await versionOf(path);
    if (version === undefined) continue;
    if (isAtLeast(version, program.versionMin)) return { path, version };
    tooOld.push(`${path} is ${version}`);
  }
  return undefined;
}

const fromPath: Finder = (search) => {
  const folders = (search.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return firstFresh(
    folders.map((folder) => join(folder, search.program.name)),
    search,
  );
};

/** The pinned version first, then the newest. */
const fromCache: Finder = (search) => {
  const { cacheDir, program, toolsDir } = search;
  let names: string[] = [];
  try {
    names = readdirSync(cacheDir);
  } catch {
    return Promise.resolve(undefined);
  }
  const pinned = pinnedVersion(program, toolsDir);
  const versions = names
    .filter((entry) => entry.startsWith(`${program.name}-`))
    .map((entry) => entry.slice(program.name.length + 1))
    .filter((version) => parseVersion(version) === version)
    .sort((a, b) => (a === pinned ? -1 : b === pinned ? 1 : isAtLeast(a, b) ? -1 : 1));
  return firstFresh(
    versions.map((version) => join(cacheDir, `${program.name}-${version}`)),
    search,
  );
};

const finders: Readonly<Record<ProgramSource, Finder>> = {
  env: fromEnv,
  path: fromPath,
  cache: fromCache,
  go: ({ program, ...options }) => buildWithGo(program, options),
  docker: ({ program, ...options }) => takeFromImage(program, options),
};

const allSources: readonly ProgramSource[] = ['env', 'path', 'cache', 'go', 'docker'];

function tooOldError({ name, versionMin, install }: Program, tooOld: readonly string[]): PosternError {
  const found = tooOld.join('; ');
  const text = `Postern needs ${name} ${versionMin} or newer, but ${found}.\n${install.join('\n')}`;
  return new PosternError('servers.too_old', text);
}

function notFoundError({ name, versionMin, variable, install }: Program): PosternError {
  const text = `${name} ${versionMin} or newer was not found: not in ${variable}, the PATH or the tool cache, and there is neither Go to build it nor a Docker engine to take it from.`;
  return new PosternError('servers.not_found', `${text}\n${install.join('\n')}`);
}

/** The folder of built programs: `POSTERN_CACHE_DIR`, or ~/.cache/postern/tools. */
export function toolCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return env['POSTERN_CACHE_DIR'] || join(env['HOME'] || homedir(), '.cache', 'postern', 'tools');
}

/**
 * Finds a server program: environment variable, PATH, tool cache, Go toolchain, Docker engine; the first that is
 * new enough.
 *
 * A variable that is set is the user's word: what it names is taken or refused, and nothing else is looked for.
 *
 * @throws {PosternError} `servers.not_found`, with the commands that mend it; `servers.too_old` when only older
 * ones were found; `servers.build_failed`.
 * @effect may build or fetch the program into the tool cache.
 */
export async function findProgram(name: ProgramName, options: FindOptions = {}): Promise<FoundProgram> {
  const { env = process.env, sources = allSources, toolsDir = repositoryTools } = options;
  const onProgress = options.onProgress ?? ((line: string) => void process.stderr.write(`${line}\n`));
  const program = programs[name];
  const search: Search = { program, env, toolsDir, cacheDir: toolCacheDir(env), onProgress, tooOld: [] };
  for (const source of allSources.filter((one) => sources.includes(one))) {
    const found = await finders[source](search);
    if (found) return { ...found, source };
  }
  throw search.tooOld.length > 0 ? tooOldError(program, search.tooOld) : notFoundError(program);
}

/** Finds nats-server, 2.14 or newer. Order, errors and effects are those of {@link findProgram}. */
export function findNatsServer(options?: FindOptions): Promise<FoundProgram> {
  return findProgram('nats-server', options);
}

/** Finds the Versity S3 gateway, an object store for tests. Order, errors and effects are those of {@link findProgram}. */
export function findVersitygw(options?: FindOptions): Promise<FoundProgram> {
  return findProgram('versitygw', options);
}

/** Finds HashiCorp Vault, 1.15 or newer. Order, errors and effects are those of {@link findProgram}. */
export function findVault(options?: FindOptions): Promise<FoundProgram> {
  return findProgram('vault', options);
}
