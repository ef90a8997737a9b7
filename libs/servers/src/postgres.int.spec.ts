import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { closedFolder, postgresUser, reachableDataDir, temporaryDataDir } from './data-dir.ts';
import type { ServerUser } from './data-dir.ts';
import { startPostgres } from './postgres.ts';
import type { Postgres, PostgresOptions } from './postgres.ts';
import { isProcessAlive } from './process-identity.ts';
import { withPgClient } from './postgres-database.ts';
import { packagedPostgres, postgresBinaries } from './postgres-binaries.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';

const env: NodeJS.ProcessEnv = {};
const isRoot = process.getuid?.() === 0;
let folder: string;
const running: Postgres[] = [];

beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  const server = await startPostgres({ dataDir: join(folder, 'postgres'), env, ...options });
  running.push(server);
  return server;
}

const ask = (url: string, text: string): Promise<Record<string, unknown>[]> =>
  withPgClient(url, async (client) => (await client.query(text)).rows);

describe('startPostgres', () => {
  test('is PostgreSQL 18, durable, with passwords kept by SCRAM in a private folder', async () => {
    const server = await start();
    expect(await ask(server.url, 'SHOW server_version')).toEqual([{ server_version: expect.stringMatching(/^18\./) }]);
    expect(await ask(server.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
    const wrong = Object.assign(new URL(server.url), { password: 'wrong' }).href;
    await expect(ask(wrong, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    expect(statSync(join(folder, 'postgres')).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, 'postgres', 'password')).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'postgres', 'postgres.log')).mode & 0o777).toBe(0o600);
  });

  test('does not listen beyond loopback', async () => {
    const { port } = await start();
    const outside = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    for (const { address } of outside.filter((one) => !one.internal && one.family === 'IPv4')) {
      await expect(
        new Promise((resolve, reject) => connect(port, address).once('connect', resolve).once('error', reject)),
      ).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
  });

  test('starts again on the same port and data after SIGKILL', async () => {
    const first = await start();
    await first.createDatabase('postern');
    await first.createDatabase('postern');
    await ask(first.urlOf('postern'), 'CREATE TABLE t AS SELECT 42 AS n');
    await first.kill();
    const second = await start({ port: first.port });
    expect(second.url).toBe(first.url);
    expect(await ask(second.urlOf('postern'), 'SELECT n FROM t')).toEqual([{ n: 42 }]);
  });

  test('a session that is busy when its server is killed is outwaited', async () => {
    const first = await start();
    await withPgClient(first.url, async (client) => {
      const [row] = (await client.query('SELECT pg_backend_pid() AS pid')).rows;
      const work = client.query('SELECT count(*) FROM generate_series(1, 3000000) AS n WHERE n % 7 = 3');
      const settled = Promise.allSettled([work]);
      await first.kill();
      expect(isProcessAlive(Number(row?.['pid']))).toBe(true);
      const second = await start({ port: first.port });
      expect(await ask(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await settled;
    });
  });

  test('a process number in postmaster.pid that now belongs to another is no hindrance', async () => {
    const first = await start();
    await first.stop();
    const pidFile = join(folder, 'postgres', 'cluster', 'postmaster.pid');
    expect(existsSync(pidFile)).toBe(false);
    writeFileSync(pidFile, `${process.pid}\n${join(folder, 'postgres', 'cluster')}\n1\n1\n\n\n\n`);
    await start();
  });

  test('two side by side have ports and folders of their own', async () => {
    const [one, two] = await Promise.all([start(), start({ dataDir: join(folder, 'other') })]);
    expect(one.port).not.toBe(two.port);
    expect(new URL(one.url).password).not.toBe(new URL(two.url).password);
  });

  test('a creation that was interrupted is begun anew', async () => {
    mkdirSync(join(folder, 'postgres', 'cluster.new'), { recursive: true });
    writeFileSync(join(folder, 'postgres', 'cluster.new', 'PG_VERSION'), '18');
    await start();
  });

  test('POSTERN_POSTGRES_URL is used as it is, and not stopped', async () => {
    const { url } = await start();
    const external = await startPostgres({ dataDir: join(folder, 'none'), env: { POSTERN_POSTGRES_URL: url } });
    await external.stop();
    expect(external).toMatchObject({ source: 'env', url, pid: undefined });
    expect(await ask(external.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await expect(external.kill()).rejects.toMatchObject({ code: 'servers.start_failed' });
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });
});

(isRoot ? describe : describe.skip)('PostgreSQL for root', () => {
  test('a folder that the postgres user cannot pass is named, and another place is offered', async () => {
    const closed = join(folder, 'home');
    mkdirSync(closed);
    chmodSync(closed, 0o700);
    const dataDir = join(closed, 'postgres');
    await expect(start({ dataDir })).rejects.toMatchObject({
      code: 'servers.start_failed',
      message: expect.stringContaining(`chmod o+x ${closed}`),
    });
    const other = await reachableDataDir(dataDir);
    expect(other).toMatch(/^\/var\/lib\/postern\/[0-9a-f]{16}$/);
    expect(closedFolder(other, (await postgresUser()) as ServerUser)).toBeUndefined();
    expect(existsSync(dirname(other))).toBe(true);
    expect(await reachableDataDir(join(folder, 'open'))).toBe(join(folder, 'open'));
  });

  test('programs that the postgres user cannot reach are copied, once, to where it can', async () => {
    const user = (await postgresUser()) as ServerUser;
    const packaged = packagedPostgres() as PostgresBinaries;
    const closed = join(folder, 'home');
    mkdirSync(closed, { mode: 0o700 });
    const home = join(closed, 'native');
    cpSync(packaged.home, home, { recursive: true, verbatimSymlinks: true });
    const hidden = { ...packaged, home };
    const found = await postgresBinaries(user, hidden);
    try {
      expect(found?.home).toMatch(/^\/var\/lib\/postern\//);
      const said = execFileSync(join(found?.home ?? '', 'bin', 'postgres'), ['--version'], {
        ...user,
        encoding: 'utf8',
      });
      expect(said).toMatch(/PostgreSQL\) 18\./);
      expect(await postgresBinaries(user, hidden)).toEqual(found);
    } finally {
      rmSync(dirname(found?.home ?? join(folder, 'none', 'none')), { recursive: true, force: true });
    }
  });
});
