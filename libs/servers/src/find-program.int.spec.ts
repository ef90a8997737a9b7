import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDataDir } from './data-dir.ts';
import { findNatsServer } from './find-program.ts';
import type { ProgramSource } from './find-program.ts';

const noEngine: readonly ProgramSource[] = ['env', 'path', 'cache', 'go'];
let folder: string;

beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that says its version, and nothing else. */
function program(name: string, version: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho "nats-server: v${version}"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A pinned module that the Go toolchain can build without fetching anything. */
function goModule(source: string): string {
  const tool = join(folder, 'tools', 'nats-server');
  const name = 'github.com/nats-io/nats-server/v2';
  mkdirSync(join(tool, 'server'), { recursive: true });
  const pin = `require ${name} v2.15.9\n\nreplace ${name} => ./server\n`;
  writeFileSync(join(tool, 'go.mod'), `module example.org/tool\n\ngo 1.21\n\n${pin}`);
  writeFileSync(join(tool, 'server', 'go.mod'), `module ${name}\n\ngo 1.21\n`);
  writeFileSync(join(tool, 'server', 'main.go'), `package main\n\nfunc main() { ${source} }\n`);
  return join(folder, 'tools');
}

const env = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: join(folder, 'path'),
  POSTERN_CACHE_DIR: join(folder, 'cache'),
  ...more,
});

describe('looking for nats-server', () => {
  test('the variable comes before the PATH, the PATH before the cache', async () => {
    const toolsDir = join(folder, 'none');
    const cached = program('cache/nats-server-2.15.1', '2.15.1');
    expect(await findNatsServer({ env: env(), toolsDir })).toEqual({
      path: cached,
      version: '2.15.1',
      source: 'cache',
    });
    const onPath = program('path/nats-server', '2.14.3');
    expect(await findNatsServer({ env: env(), toolsDir })).toEqual({ path: onPath, version: '2.14.3', source: 'path' });
    const named = program('named', '2.14.0');
    const found = await findNatsServer({ env: env({ POSTERN_NATS_SERVER: named }), toolsDir });
    expect(found).toEqual({ path: named, version: '2.14.0', source: 'env' });
  });

  test('a variable that names an old program, or none, is refused and nothing else is looked for', async () => {
    program('path/nats-server', '2.15.2');
    const old = env({ POSTERN_NATS_SERVER: program('old', '2.9.10') });
    await expect(findNatsServer({ env: old })).rejects.toMatchObject({ code: 'servers.too_old' });
    const none = env({ POSTERN_NATS_SERVER: join(folder, 'none') });
    await expect(findNatsServer({ env: none })).rejects.toMatchObject({ code: 'servers.not_found' });
  });

  test('an old program on the PATH is passed over, and named when there is no other', async () => {
    program('path/nats-server', '2.9.10');
    const options = { env: env(), toolsDir: join(folder, 'none'), sources: noEngine };
    await expect(findNatsServer(options)).rejects.toMatchObject({
      code: 'servers.too_old',
      message: expect.stringContaining('2.9.10'),
    });
    program('cache/nats-server-2.15.1', '2.15.1');
    expect(await findNatsServer(options)).toMatchObject({ source: 'cache' });
  });

  test('of the cache, the newest that is no leftover of a build', async () => {
    program('cache/nats-server-2.15.1', '2.15.1');
    program('cache/nats-server-2.15.10', '2.15.10');
    program('cache/nats-server-2.16.0.77.partial', '2.16.0');
    expect(await findNatsServer({ env: env(), toolsDir: join(folder, 'none') })).toMatchObject({ version: '2.15.10' });
  });

  test('nothing found says how to mend it on Debian, macOS and with Docker', async () => {
    const options = { env: env(), toolsDir: join(folder, 'none'), sources: noEngine };
    await expect(findNatsServer(options)).rejects.toMatchObject({
      code: 'servers.not_found',
      message: expect.stringMatching(/Debian: [^]*macOS: brew install nats-server[^]*Docker: /),
    });
  });
});

describe('building with Go', () => {
  const withGo = (): NodeJS.ProcessEnv => ({ ...process.env, ...env(), PATH: `${folder}/path:${process.env['PATH']}` });

  test('two at once build once, and leave no lock and no partial file', async () => {
    const lines: string[] = [];
    const options = {
      env: withGo(),
      toolsDir: goModule('println("nats-server: v2.15.9")'),
      sources: ['cache', 'go'] as const,
      onProgress: (line: string) => void lines.push(line),
    };
    const found = await Promise.all([findNatsServer(options), findNatsServer(options)]);
    expect(found[0]).toMatchObject({ version: '2.15.9', source: 'go' });
    expect(lines.filter((line) => line.startsWith('Building'))).toHaveLength(1);
    expect(readdirSync(join(folder, 'cache'))).toEqual(['nats-server-2.15.9']);
    expect(await findNatsServer(options)).toMatchObject({ source: 'cache' });
  });

  test('a build that fails tells the compiler’s words and leaves nothing', async () => {
    const toolsDir = goModule('nonsense');
    const options = { env: withGo(), toolsDir, sources: ['cache', 'go'] as const, onProgress: () => undefined };
    await expect(findNatsServer(options)).rejects.toMatchObject({
      code: 'servers.build_failed',
      message: expect.stringContaining('undefined: nonsense'),
    });
    expect(readdirSync(join(folder, 'cache'))).toEqual([]);
  });
});
