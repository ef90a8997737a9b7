import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Injectable, Module, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { streams } from '@postern/contracts';
import { connectBus, createOperator, identityCreds, serverOperatorConfig, type OperatorBundle } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { startTcpProxy, waitFor, type TcpProxy } from '@postern/testing';
import { runService, ServiceConfig, type HostMessage, type OnServiceReady, type ServiceHost } from './index.ts';
import { LogRecorder, specWorld, writeSecret, type SpecWorld } from './spec-world.ts';

/** Identities are made in JavaScript, which takes seconds on a busy machine. */
const setUpTimeoutMs = 180_000;

const life: string[] = [];

@Injectable()
class Follows implements OnModuleInit, OnServiceReady, OnApplicationShutdown {
  onModuleInit(): void {
    life.push('init');
  }

  async onServiceReady(): Promise<void> {
    await new Promise(setImmediate);
    life.push('following');
  }

  onApplicationShutdown(): void {
    life.push('followed');
  }
}

@Module({ providers: [Follows] })
class AuditModule {}

/** A process that records what a service asks of it; signals come when a test says so. */
class SpecHost implements ServiceHost {
  readonly told: HostMessage[] = [];
  readonly complaints: string[] = [];
  readonly exits: number[] = [];
  readonly exited = Promise.withResolvers<number>();
  readonly ready = Promise.withResolvers<number>();
  signal: (reason: string) => void = () => undefined;
  watchesParent = false;

  onStop(stop: (reason: string) => void, watchParent: boolean): void {
    this.signal = stop;
    this.watchesParent = watchParent;
  }

  tell(message: HostMessage): void {
    this.told.push(message);
    life.push(message.type);
    if (message.type === 'ready') this.ready.resolve(message.httpPort);
  }

  complain(sentence: string): void {
    this.complaints.push(sentence);
  }

  exit(code: number): void {
    this.exits.push(code);
    this.exited.resolve(code);
  }
}

await describeWithServer('nats-server', 'the process of a service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-run-'));
  const definition = { app: 'audit', module: AuditModule, config: ServiceConfig } as const;
  let bundle: OperatorBundle;
  let server: NatsServer;
  let world: SpecWorld;
  let proxy: TcpProxy;

  const run = (more: Record<string, string | undefined> = {}, log = new LogRecorder()) => {
    const host = new SpecHost();
    const through = { POSTERN_NATS_URL: `nats://127.0.0.1:${proxy.port}`, ...more };
    const ended = runService(definition, world.envOf('audit', through), host, { logDestination: log });
    return { host, ended, log };
  };

  beforeAll(async () => {
    bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await specWorld({ natsUrl: server.url, bundle, folder, apps: ['audit'] });
    proxy = await startTcpProxy({ targetPort: server.port });
  }, setUpTimeoutMs);

  beforeEach(() => {
    life.length = 0;
  });

  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('begins its followers before it says it is ready, and ends them before it says it stopped', async () => {
    const { host, ended } = run();
    const port = await host.ready.promise;
    expect((await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
    host.signal('SIGTERM');
    await ended;
    expect(host.exits).toEqual([0]);
    expect(host.complaints).toEqual([]);
    expect(life).toEqual(['init', 'following', 'ready', 'followed', 'stopped']);
    expect(host.told).toEqual([
      { type: 'ready', app: 'audit', httpPort: port },
      { type: 'stopped', app: 'audit' },
    ]);
  });

  test('ends at once at the second signal', async () => {
    const { host, ended } = run();
    await host.ready.promise;
    host.signal('SIGTERM');
    host.signal('SIGINT');
    expect(host.exits[0]).toBe(1);
    await ended;
  });

  test('watches its parent only when asked to', async () => {
    const [watching, other] = [run({ POSTERN_PARENT_WATCH: '1' }), run()];
    expect([watching.host.watchesParent, other.host.watchesParent]).toEqual([true, false]);
    for (const { host, ended } of [watching, other]) {
      host.signal('the end of its parent');
      await ended;
    }
  });

  test('says which variable is wrong, and ends', async () => {
    const { host, ended } = run({ POSTERN_HTTP_PORT: 'eighty', POSTERN_TRUST_FILE: undefined });
    await ended;
    expect(host.exits).toEqual([1]);
    expect(host.complaints).toEqual([expect.stringMatching(/^audit: .*POSTERN_TRUST_FILE.*POSTERN_HTTP_PORT/)]);
  });

  test('waits for the bus, telling so, until it is there', async () => {
    proxy.cut();
    const { host, ended, log } = run();
    await until(() => log.lines.some((line) => line.includes('waiting for the bus')));
    proxy.heal();
    await host.ready.promise;
    host.signal('SIGTERM');
    await ended;
    expect(host.exits).toEqual([0]);
  });

  test('ends gracefully when it is stopped while it waits for the bus', async () => {
    proxy.cut();
    const { host, ended, log } = run();
    await until(() => log.lines.some((line) => line.includes('waiting for the bus')));
    host.signal('SIGTERM');
    await ended;
    proxy.heal();
    expect(host.exits).toEqual([0]);
    expect(host.told).toEqual([]);
  });

  test('does not wait where waiting mends nothing: a server that does not know it', async () => {
    const stranger = await identityCreds(await createOperator(), 'audit');
    writeSecret(join(folder, 'stranger'), stranger);
    const { host, ended } = run({ POSTERN_NATS_CREDS_FILE: join(folder, 'stranger') });
    await ended;
    expect(host.exits).toEqual([1]);
    expect(host.complaints).toHaveLength(1);
  });

  test('takes the newest credentials when it connects again, and ends when they are refused for good', async () => {
    const own = join(folder, 'own');
    writeSecret(own, await identityCreds(bundle, 'audit'));
    const { host, ended, log } = run({ POSTERN_NATS_CREDS_FILE: own });
    const port = await host.ready.promise;
    const bus = async () => ((await (await fetch(`http://127.0.0.1:${port}/readyz`)).json()) as Ready).checks['bus'];
    writeSecret(own, await identityCreds(bundle, 'audit'));
    proxy.cut();
    await until(async () => (await bus()) === 'disconnected');
    proxy.heal();
    await until(async () => (await bus()) === 'ok');

    writeSecret(own, await identityCreds(await createOperator(), 'audit'));
    proxy.cut();
    proxy.heal();
    await ended;
    expect(host.exits).toEqual([1]);
    expect(host.complaints).toEqual([expect.stringContaining('The bus was closed for good')]);
    expect(log.lines.some((line) => line.includes('"level":"fatal"'))).toBe(true);
  });

  test('refuses a stream that is not as it must be, by name and field', async () => {
    const creds = await identityCreds(bundle, 'provisioner');
    const provisioner = await connectBus({ servers: server.url, creds, identity: 'provisioner', name: 'spec' });
    const manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
    await manager.streams.update(streams.admin.name, { max_age: 3_600_000_000_000 });
    const { host, ended } = run();
    await ended;
    await manager.streams.update(streams.admin.name, { max_age: 0 });
    await provisioner.close();
    expect(host.exits).toEqual([1]);
    expect(host.complaints).toEqual([expect.stringMatching(/ADMIN.*max_age/)]);
  });
});

interface Ready {
  readonly checks: Readonly<Record<string, string>>;
}

/** Waits on progress. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(holds, { describe: 'what the test waits for' });
}
