import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as breathe, setTimeout as delay } from 'node:timers/promises';
import { Body, Controller, HttpCode, Injectable, Module, Post } from '@nestjs/common';
import { newId, operations, type AppName, type ReplyOf, type RequestOf } from '@postern/contracts';
import {
  callOperation,
  connectBus,
  createOperator,
  identityCreds,
  lifeOf,
  platformCreds,
  serverOperatorConfig,
  type Bus,
  type OperatorBundle,
} from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { waitFor } from '@postern/testing';
import { OperationsClient, Serves, ServiceConfig, startService, type RunningService } from './index.ts';
import { LogRecorder, specWorld, writeSecret, type SpecWorld } from './spec-world.ts';

const setUpTimeoutMs = 180_000;
const renewed = 'the bus user was renewed';
const shortTtlMs = 8_000;
const longTtlMs = 60_000;
/** The services and who asks them share one process. */
const pauseMs = 5;
const tenantId = newId('tenant');
const platformId = newId('platform');
const connectionId = newId('connection');
const freshness = {
  health: 'ok',
  credential_expires_at: null,
  last_refreshed_at: null,
  last_used_ok_at: null,
  refresh_failing_since: null,
  next_attempt_at: null,
  stale: false,
  reason: null,
} as const;

@Controller()
class GatewayController {
  constructor(private readonly client: OperationsClient) {}

  @Post('refresh')
  @HttpCode(200)
  async refresh(@Body() request: RequestOf<typeof operations.refreshConnection>) {
    return await this.client.call(operations.refreshConnection, { tenantId, platformId }, request);
  }
}

@Module({ controllers: [GatewayController] })
class GatewayModule {}

@Injectable()
class RefreshEndpoint {
  @Serves(operations.refreshConnection)
  async refresh(): Promise<ReplyOf<typeof operations.refreshConnection>> {
    await breathe();
    return { connection_id: connectionId, position: 1, credential_version: 1, freshness };
  }
}

@Module({ providers: [RefreshEndpoint] })
class RefreshModule {}

const definitions = {
  gateway: { app: 'gateway', module: GatewayModule, config: ServiceConfig },
  refresh: { app: 'refresh', module: RefreshModule, config: ServiceConfig },
} as const;
const apps = ['gateway', 'refresh'] as const;

await describeWithServer('nats-server', 'users that end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-renewal-'));
  const running: RunningService[] = [];
  let load: Load | undefined;
  let platform: Bus | undefined;
  const log = new LogRecorder();
  let bundle: OperatorBundle;
  let server: NatsServer;
  let world: SpecWorld;

  const makeUser = (app: AppName, ttlMs: number) => identityCreds(bundle, app, { ttlMs });
  /** As a supervisor does: whole or not at all. */
  const hand = (app: AppName, creds: string): void => {
    const path = world.credsFileOf(app);
    writeSecret(`${path}.new`, creds);
    renameSync(`${path}.new`, path);
  };
  const start = async (app: keyof typeof definitions): Promise<RunningService> => {
    const service = await startService(definitions[app], world.envOf(app), { logDestination: log });
    running.push(service);
    return service;
  };

  beforeAll(async () => {
    bundle = await createOperator();
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await specWorld({ natsUrl: server.url, bundle, folder, apps });
  }, setUpTimeoutMs);
  afterEach(async () => {
    await load?.stop();
    load = undefined;
    await platform?.close();
    await Promise.all(running.splice(0).map((service) => service.stop()));
    log.lines.length = 0;
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('services under continuous requests go from user to user, and no request fails', async () => {
    const makeUsers = async (ttlMs: number) =>
      await Promise.all(apps.map(async (app) => [app, await makeUser(app, ttlMs)] as const));
    const rounds = [await makeUsers(longTtlMs), await makeUsers(longTtlMs)];
    for (const [app, creds] of await makeUsers(longTtlMs)) hand(app, creds);
    const [gateway] = await Promise.all([start('gateway'), start('refresh')]);
    const { creds } = await platformCreds(bundle, { tenantId, platformId });
    platform = await connectBus({ servers: server.url, creds, identity: platformId, name: 'spec' });
    const asked = new Load(gateway, platform);
    load = asked;
    const renewals = (app: string) => log.saying(renewed).filter((line) => line['app'] === app).length;

    // Made last, since it ends first: while requests go on, the server closes all connections of this user.
    rounds.unshift(await makeUsers(shortTtlMs));
    const [, shortCreds] = rounds[0]?.find(([app]) => app === 'refresh') ?? [];
    const witness = await connectBus({ servers: server.url, creds: shortCreds, identity: 'refresh', name: 'witness' });
    for (const [index, users] of rounds.entries()) {
      for (const [app, user] of users) hand(app, user);
      await waitFor(() => apps.every((app) => renewals(app) === index + 1), {
        describe: () => `${apps.map(renewals).join()} renewals in round ${index}; ${asked.told()}`,
      });
      const { answered } = asked;
      await waitFor(() => asked.answered > answered + 50, { describe: 'requests are answered by the new ones' });
    }
    await witness.closed;
    const { answered } = asked;
    await waitFor(() => asked.answered > answered + 50, { describe: 'requests are answered after the first user' });
    expect(await asked.stop()).toEqual([]);
  });

  test('a service whose user is not renewed is cut off when that ends', async () => {
    const creds = await makeUser('refresh', shortTtlMs);
    hand('refresh', creds);
    const service = await start('refresh');
    expect(await service.busLost).toContain('The bus was closed for good');
    expect(Date.now()).toBeGreaterThanOrEqual(lifeOf(creds).expiresAtMs);
  });

  test('a user that the server refuses is told, and the one before it goes on', async () => {
    hand('gateway', await makeUser('gateway', longTtlMs));
    const service = await start('gateway');
    hand('gateway', await identityCreds(await createOperator(), 'gateway'));
    const told = 'the bus user could not be renewed; it is tried again';
    await waitFor(() => log.saying(told).length > 0, { describe: 'the refusal is told' });
    expect(log.saying(told)[0]).toMatchObject({ code: 'auth.forbidden' });
    expect((await fetch(`${service.httpUrl}/readyz`)).status).toBe(200);
  });
});

/** Requests one after the other, over HTTP through two services and over NATS from a platform. */
class Load {
  answered = 0;
  readonly #failures: unknown[] = [];
  readonly #runs: Promise<void>[];
  #stopped = false;

  constructor(gateway: RunningService, platform: Bus) {
    const body = { connection_id: connectionId };
    const overHttp = async () => {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${gateway.httpUrl}/refresh`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      });
      if (answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`);
    };
    const as = { tenantId, platformId };
    const overNats = () => callOperation(platform, operations.refreshConnection, as, body);
    this.#runs = [overHttp, overHttp, overNats, overNats].map((ask) => this.#run(ask));
  }

  told(): string {
    return this.#failures.slice(0, 3).map(String).join('; ');
  }

  async stop(): Promise<unknown[]> {
    this.#stopped = true;
    await Promise.all(this.#runs);
    return this.#failures;
  }

  async #run(ask: () => Promise<unknown>): Promise<void> {
    while (!this.#stopped) {
      try {
        await ask();
        this.answered += 1;
      } catch (error) {
        this.#failures.push(error);
        if (this.#failures.length > 20) return;
      }
      await delay(pauseMs);
    }
  }
}
