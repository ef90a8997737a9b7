import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDataDir } from './data-dir.ts';
import { describeWithServer } from './describe-with-server.ts';
import { startNatsServer } from './nats-server.ts';
import type { NatsServer, NatsServerOptions } from './nats-server.ts';

let folder: string;
const running: NatsServer[] = [];

beforeEach(() => {
  folder = temporaryDataDir();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: Partial<NatsServerOptions> = {}): Promise<NatsServer> {
  const server = await startNatsServer({ dataDir: join(folder, 'nats'), ...options });
  running.push(server);
  return server;
}

async function monitor(server: NatsServer, path: string): Promise<Record<string, unknown>> {
  return (await (await fetch(`${server.monitorUrl}/${path}`)).json()) as Record<string, unknown>;
}

await describeWithServer('nats-server', 'startNatsServer', () => {
  test('starts on loopback with every write synced, and says who it is', async () => {
    const server = await start({ config: { serverName: 'one' } });
    const facts = await monitor(server, 'varz');
    expect(facts).toMatchObject({
      server_name: 'one',
      host: '127.0.0.1',
      port: server.port,
      version: server.program.version,
    });
    expect(facts['jetstream']).toMatchObject({ config: { sync_always: true } });
    expect(statSync(join(server.dataDir, 'nats-server.conf')).mode & 0o777).toBe(0o600);
    expect(statSync(server.logPath).mode & 0o777).toBe(0o600);
  });

  test('two side by side have ports and folders of their own', async () => {
    const [one, two] = await Promise.all([start(), start({ dataDir: join(folder, 'other') })]);
    expect(new Set([one.port, one.monitorPort, two.port, two.monitorPort]).size).toBe(4);
  });

  test('starts again on the same ports and data after SIGKILL', async () => {
    const config = ({ port, monitorPort, storeDir }: { port: number; monitorPort: number; storeDir: string }): string =>
      `listen: "127.0.0.1:${port}"\nhttp: "127.0.0.1:${monitorPort}"\njetstream { store_dir: "${storeDir}", sync_interval: always }\n`;
    const first = await start({ config });
    await createStream(first);
    await first.kill();
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
    const { port, monitorPort } = first;
    const second = await start({ config, port, monitorPort });
    expect(second.url).toBe(first.url);
    expect(await monitor(second, 'jsz')).toMatchObject({ streams: 1 });
  });

  test('a second one on the same folder waits for the first to leave', async () => {
    const first = await start();
    // Given the program, it asks for the folder before this line is over: while the first still holds it.
    const second = start({ program: first.program });
    await first.stop();
    expect((await second).pid).not.toBe(first.pid);
  });

  test('a port that another program holds is refused by code', async () => {
    const { port } = await start();
    const again = start({ dataDir: join(folder, 'other'), port });
    await expect(again).rejects.toMatchObject({
      code: 'servers.start_failed',
      message: expect.stringContaining('port'),
    });
  });

  test('a configuration that it does not accept is told in its own words', async () => {
    const refused = start({ config: { extra: 'nonsense_option: 1' } });
    await expect(refused).rejects.toMatchObject({
      code: 'servers.start_failed',
      message: expect.stringContaining('nonsense_option'),
    });
    expect(existsSync(join(folder, 'nats', 'nats-server.lock'))).toBe(false);
  });

  test('three nodes become a cluster', async () => {
    const { freePort } = await import('./free-port.ts');
    const routePorts = await Promise.all([freePort(), freePort(), freePort()]);
    const nodes = await Promise.all(
      routePorts.map((port) => {
        const config = { serverName: `n${port}`, cluster: { name: 'c', port, routePorts } };
        return start({ dataDir: join(folder, String(port)), config });
      }),
    );
    for (const node of nodes) await untilRoutes(node, 2);
  });
});

async function untilRoutes(node: NatsServer, count: number): Promise<void> {
  for (;;) {
    const { routes } = (await monitor(node, 'routez')) as { routes: { remote_name?: string }[] };
    if (new Set(routes.map((route) => route.remote_name)).size === count) return;
  }
}

/** One stream, by the client protocol itself: this library has no NATS client. */
async function createStream({ port }: NatsServer): Promise<void> {
  const { connect } = await import('node:net');
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  const body = JSON.stringify({ name: 'S', subjects: ['s'] });
  socket.write(`CONNECT {"verbose":false}\r\nSUB r 1\r\nPUB $JS.API.STREAM.CREATE.S r ${body.length}\r\n${body}\r\n`);
  let text = '';
  for await (const chunk of socket) {
    text += String(chunk);
    if (/MSG r 1 \d+\r\n.*\r\n/.test(text)) break;
  }
  if (!text.includes('"name":"S"')) throw new Error(text);
}
