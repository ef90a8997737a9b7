import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDataDir } from './data-dir.ts';
import { describeWithServer } from './describe-with-server.ts';
import { startNatsServer } from './nats-server.ts';
import { startParent } from './parent-process.ts';
import { startPostgres } from './postgres.ts';
import { isProcessAlive } from './process-identity.ts';
import { untilGone } from './until-gone.ts';

let folder: string;
beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function killParentOf(names: readonly string[]): Promise<Awaited<ReturnType<typeof startParent>>['servers']> {
  const { parent, servers } = await startParent(folder, names);
  expect(servers.map(({ pid }) => isProcessAlive(pid))).toEqual(names.map(() => true));
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  return servers;
}

const pids = (servers: readonly { pid: number }[]): number[] => servers.map(({ pid }) => pid);

describe('when a parent is killed with SIGKILL', () => {
  test('a process that does not hear SIGTERM is gone too', async () => {
    await untilGone(pids(await killParentOf(['deaf'])));
  });

  test('PostgreSQL is gone, leaves no lock, and starts again on its data', async () => {
    const servers = await killParentOf(['postgres']);
    const again = await startPostgres({ dataDir: join(folder, 'postgres'), port: servers[0]?.port ?? 0 });
    expect(pids(servers).map((pid) => isProcessAlive(pid))).toEqual([false]);
    await again.stop();
    expect(readdirSync(join(folder, 'postgres')).sort()).toEqual(['cluster', 'password', 'postgres.log']);
    expect(readdirSync(join(folder, 'postgres', 'cluster'))).not.toContain('postmaster.pid');
  });
});

await describeWithServer('nats-server', 'when a parent of nats-server is killed with SIGKILL', () => {
  test('it is gone, leaves no lock, and starts again on its ports at once', async () => {
    const servers = await killParentOf(['nats-server']);
    const { port = 0, monitorPort = 0 } = servers[0] ?? {};
    const again = await startNatsServer({ dataDir: join(folder, 'nats'), port, monitorPort });
    expect(pids(servers).map((pid) => isProcessAlive(pid))).toEqual([false]);
    await again.stop();
    expect(readdirSync(join(folder, 'nats')).sort()).toEqual(['jetstream', 'nats-server.conf', 'nats-server.log']);
  });
});

await describeWithServer('vault', 'when a parent of vault is killed with SIGKILL', () => {
  test('it is gone', async () => untilGone(pids(await killParentOf(['vault']))));
});
