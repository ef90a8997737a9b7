import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager, type JetStreamManager, type StreamConfig } from '@nats-io/jetstream';
import { Module } from '@nestjs/common';
import { streams } from '@postern/contracts';
import { connectBus, createOperator, identityCreds, serverOperatorConfig, type Bus } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { waitFor } from '@postern/testing';
import { Clock, ServiceConfig, startService, type RunningService } from './index.ts';
import { startServerOfVersion } from './spec-old-server.ts';
import { LogRecorder, specWorld, type SpecWorld } from './spec-world.ts';

/** Identities are made in JavaScript, which takes seconds on a busy machine. */
const setUpTimeoutMs = 180_000;
const hourNanos = 3_600_000_000_000;

@Module({})
class AuditModule {}

const definition = { app: 'audit', module: AuditModule, config: ServiceConfig } as const;

/** A machine whose clock is off by that much. */
class WrongClock extends Clock {
  constructor(public byMs: number) {
    super();
  }

  override nowMs(): number {
    return super.nowMs() + this.byMs;
  }
}

interface Ready {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, string>>;
}

await describeWithServer('nats-server', 'a service and the log it stands on', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-guard-'));
  const running: RunningService[] = [];
  let server: NatsServer;
  let world: SpecWorld;
  let provisioner: Bus;
  let manager: JetStreamManager;
  let log: LogRecorder;

  const start = async (more: Record<string, string> = {}, clock = new Clock()): Promise<RunningService> => {
    const env = world.envOf('audit', { POSTERN_STREAM_CHECK_INTERVAL: '50ms', ...more });
    const service = await startService(definition, env, { logDestination: log, clock });
    running.push(service);
    return service;
  };
  const change = async (config: Partial<StreamConfig>) => await manager.streams.update(streams.admin.name, config);
  const readiness = async ({ httpUrl }: RunningService) => (await (await fetch(`${httpUrl}/readyz`)).json()) as Ready;
  const metric = async ({ httpUrl }: RunningService, name: string): Promise<number> => {
    const text = await (await fetch(`${httpUrl}/metrics`)).text();
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  };

  beforeAll(async () => {
    const bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await specWorld({ natsUrl: server.url, bundle, folder, apps: ['audit'] });
    const creds = await identityCreds(bundle, 'provisioner');
    provisioner = await connectBus({ servers: server.url, creds, identity: 'provisioner', name: 'spec' });
    manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
  }, setUpTimeoutMs);

  beforeEach(() => {
    log = new LogRecorder();
  });

  afterEach(async () => {
    for (const service of running.splice(0)) await service.stop();
  });

  afterAll(async () => {
    await provisioner?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a stream changed behind a running service makes it not ready, told and counted, until it is put right', async () => {
    const service = await start();
    expect(await readiness(service)).toMatchObject({ ready: true, checks: { streams: 'ok' } });
    await change({ max_age: hourNanos });
    try {
      await until(async () => !(await readiness(service)).ready);
      expect(await readiness(service)).toEqual({
        ready: false,
        checks: { service: 'ok', bus: 'ok', streams: expect.stringMatching(/ADMIN.*max_age must be 0, is 3600/) },
      });
      // Counted at every look, told once.
      await until(async () => (await metric(service, 'postern_stream_differences_total')) >= 2);
      expect(log.saying('the log is not as it must be; not ready until it is')).toEqual([
        expect.objectContaining({ level: 'error', err: expect.objectContaining({ code: 'log.config_differs' }) }),
      ]);
    } finally {
      await change({ max_age: 0 });
    }
    await until(async () => (await readiness(service)).ready);
    expect(log.saying('the streams are as they must be again')).toHaveLength(1);
  });

  test('a stream that a service only writes to is looked at as well', async () => {
    const { config } = await manager.streams.info(streams.notifications.name);
    await manager.streams.update(config.name, { max_msg_size: 1 });
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'log.config_differs',
        message: expect.stringMatching(/NOTIFICATIONS.*max_msg_size must be/),
      });
    } finally {
      await manager.streams.update(config.name, { max_msg_size: config.max_msg_size });
    }
  });

  test('a stream that is gone is a difference too', async () => {
    const service = await start();
    const { config } = await manager.streams.info(streams.access.name);
    await manager.streams.delete(streams.access.name);
    try {
      await until(async () => (await readiness(service)).checks['streams'] === 'Stream ACCESS is not there.');
      await expect(start()).rejects.toMatchObject({ code: 'log.config_differs' });
    } finally {
      await manager.streams.add(config);
    }
    await until(async () => (await readiness(service)).ready);
  });

  test('a server older than 2.14 is refused, by its version', async () => {
    const old = await startServerOfVersion('2.13.9');
    try {
      await expect(start({ POSTERN_NATS_URL: old.url })).rejects.toMatchObject({
        code: 'servers.too_old',
        message: 'nats-server 2.13.9 is older than 2.14.',
      });
    } finally {
      old.close();
    }
  });

  test.each([3_600_000, -3_600_000])('a clock that is %d ms off is refused, with both times', async (byMs) => {
    const clock = new WrongClock(byMs);
    const here = new Date(clock.nowMs()).toISOString().slice(0, 13);
    const there = new Date().toISOString().slice(0, 13);
    await expect(start({}, clock)).rejects.toMatchObject({
      code: 'config.invalid',
      message: expect.stringMatching(`It is ${here}.* here and ${there}.* at nats-server: .*POSTERN_CLOCK_SKEW_MAX`),
      details: { fields: [{ path: 'POSTERN_CLOCK_SKEW_MAX' }] },
    });
  });

  test('how far the clocks are apart is told from then on, and said when it grows too much', async () => {
    const clock = new WrongClock(0);
    const service = await start({}, clock);
    expect(Math.abs(await metric(service, 'postern_clock_skew_seconds'))).toBeLessThan(5);
    clock.byMs = 3_600_000;
    await until(async () => (await metric(service, 'postern_clock_skew_seconds')) < -3_590);
    await until(() => log.saying('the clocks drifted apart').length > 0);
  });
});

/** Waits on progress. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(holds, { describe: 'what the test waits for' });
}
