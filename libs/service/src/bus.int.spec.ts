import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Body, Controller, HttpCode, Injectable, Module, Post, type OnModuleDestroy } from '@nestjs/common';
import { trace } from '@opentelemetry/api';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { newId, operations, PosternError, streams, subjects, type ReplyOf, type RequestOf } from '@postern/contracts';
import {
  Bus,
  connectBus,
  createOperator,
  identityCreds,
  publishMessage,
  serverOperatorConfig,
  type Call,
  type OperatorBundle,
  type WorkMessage,
} from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { waitFor } from '@postern/testing';
import {
  commitOrigin,
  correlationId,
  Metrics,
  OperationsClient,
  outgoingHeaders,
  Serves,
  ServiceConfig,
  startService,
  startTelemetry,
  withCall,
  Works,
  type RunningService,
} from './index.ts';
import { LogRecorder, specWorld, type SpecWorld } from './spec-world.ts';

/** Identities are made in JavaScript, which takes seconds on a busy machine. */
const setUpTimeoutMs = 180_000;
/** What is in hand on a machine that does much else must not end because its time is over: nothing is decided by it. */
const patienceMs = 120_000;

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

type RefreshReply = ReplyOf<typeof operations.refreshConnection>;
const refreshed: RefreshReply = { connection_id: connectionId, position: 1, credential_version: 1, freshness };
const nothingFound = {
  found: false,
  credential_version: null,
  access_token_expires_at_ms: null,
  granted_scopes: [],
  refresh_token_rotated: false,
};

/** What each hop of a request knew of itself. */
interface Hop {
  readonly at: string;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly correlation: string;
}
const hops: Hop[] = [];
function hop(at: string): void {
  const span = trace.getActiveSpan()?.spanContext();
  hops.push({ at, traceId: span?.traceId, spanId: span?.spanId, correlation: correlationId() });
}

const spans = new InMemorySpanExporter();

/** Set by a test that wants something to be in hand. */
let meanwhile: (what: string) => Promise<void> = async () => undefined;
let work: (payload: unknown, message: WorkMessage) => Promise<void> = async () => undefined;

@Controller()
class GatewayController {
  constructor(private readonly client: OperationsClient) {}

  @Post('refresh')
  @HttpCode(200)
  async refresh(@Body() request: RequestOf<typeof operations.refreshConnection>): Promise<RefreshReply> {
    hop('http');
    const caller = { tenantId, platformId };
    return await this.client.call(operations.refreshConnection, caller, request, { timeoutMs: patienceMs });
  }
}

@Module({ controllers: [GatewayController] })
class GatewayModule {}

@Injectable()
class RefreshEndpoint {
  constructor(private readonly client: OperationsClient) {}

  @Serves(operations.refreshConnection)
  async refresh(request: RequestOf<typeof operations.refreshConnection>, call: Call): Promise<RefreshReply> {
    hop('refresh');
    if (request.credential_version === 404) throw new PosternError('connection.not_found', 'No.');
    if (request.credential_version === 500) throw new TypeError('an inner detail');
    await meanwhile('operation');
    expect(call.caller).toEqual({ tenantId, platformId });
    const asked = { tenant_id: tenantId, connection_id: connectionId, bought_by: newId('claim') };
    await this.client.call(operations.findCredential, { app: 'refresh' }, asked, { timeoutMs: patienceMs });
    return refreshed;
  }
}

@Controller()
class RefreshController {
  @Works('refreshWorker', { concurrencyMax: 4, skips: (payload) => Buffer.from(payload).toString() === '"skip"' })
  async due(payload: unknown, message: WorkMessage): Promise<void> {
    await work(payload, message);
  }

  @Post('slow')
  @HttpCode(200)
  async slow(): Promise<object> {
    await meanwhile('request');
    return { done: true };
  }
}

let order: string[] = [];

@Injectable()
class RefreshFollower implements OnModuleDestroy {
  onModuleDestroy(): void {
    order.push('followers ended');
  }
}

@Module({ controllers: [RefreshController], providers: [RefreshEndpoint, RefreshFollower] })
class RefreshModule {}

@Injectable()
class VaultEndpoint {
  @Serves(operations.findCredential)
  async find(): Promise<ReplyOf<typeof operations.findCredential>> {
    hop('vault');
    return nothingFound;
  }
}

@Module({ providers: [VaultEndpoint] })
class VaultModule {}

@Module({ providers: [RefreshEndpoint, VaultEndpoint] })
class ForeignModule {}

const definitions = {
  gateway: { app: 'gateway', module: GatewayModule, config: ServiceConfig },
  refresh: { app: 'refresh', module: RefreshModule, config: ServiceConfig },
  vault: { app: 'vault', module: VaultModule, config: ServiceConfig },
} as const;

await describeWithServer('nats-server', 'services on the bus', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-bus-'));
  const log = new LogRecorder();
  const running: RunningService[] = [];
  let bundle: OperatorBundle;
  let server: NatsServer;
  let world: SpecWorld;

  const start = async (app: keyof typeof definitions): Promise<RunningService> => {
    const env = world.envOf(app, { POSTERN_SHUTDOWN_GRACE: `${patienceMs}ms` });
    const service = await startService(definitions[app], env, { logDestination: log, checkReplies: true });
    running.push(service);
    return service;
  };
  const refresh = (service: RunningService, body: object, headers: Record<string, string> = {}) =>
    fetch(`${service.httpUrl}/refresh`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ connection_id: connectionId, ...body }),
    });
  const publishDue = (service: RunningService, payload: unknown, headers: Record<string, string> = {}) =>
    publishMessage(service.get(Bus), {
      stream: streams.refresh.name,
      subject: subjects.refreshDue({ tenantId, connectionId: newId('connection') }),
      payload,
      headers,
    });
  const leftToWork = async (): Promise<number> => {
    const creds = await identityCreds(bundle, 'provisioner');
    const bus = await connectBus({ servers: server.url, creds, identity: 'provisioner', name: 'spec' });
    const manager = await jetstreamManager(bus.connection, { checkAPI: false });
    const { state } = await manager.streams.info(streams.refresh.name);
    await bus.close();
    return state.messages;
  };

  beforeAll(async () => {
    await startTelemetry({ OTEL_TRACES_SAMPLER: 'always_on' }, { spanProcessors: [new SimpleSpanProcessor(spans)] });
    bundle = await createOperator();
    const config = { operatorMode: serverOperatorConfig(bundle) };
    server = await startNatsServer({ dataDir: join(folder, 'nats'), config });
    world = await specWorld({ natsUrl: server.url, bundle, folder, apps: ['gateway', 'refresh', 'vault'] });
  }, setUpTimeoutMs);

  afterEach(async () => {
    meanwhile = async () => undefined;
    work = async () => undefined;
    hops.length = 0;
    await Promise.all(running.splice(0).map((service) => service.stop()));
  });

  afterAll(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('one trace and one correlation id go from HTTP through an operation to the next', async () => {
    const [gateway] = await Promise.all([start('gateway'), start('refresh'), start('vault')]);
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
    const answer = await refresh(gateway, {}, { traceparent, 'postern-correlation-id': 'cor_whole_way' });
    expect(answer.status).toBe(200);
    expect(hops.map(({ at }) => at)).toEqual(['http', 'refresh', 'vault']);
    for (const seen of hops) expect(seen).toMatchObject({ traceId, correlation: 'cor_whole_way' });
    expect(new Set(hops.map(({ spanId }) => spanId)).size).toBe(3);
  });

  test('a refusal keeps its code over the bus, a crash is service.internal and tells nothing', async () => {
    const [gateway] = await Promise.all([start('gateway'), start('refresh'), start('vault')]);
    const refused = await refresh(gateway, { credential_version: 404 });
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({ code: 'connection.not_found' });
    const crashed = await refresh(gateway, { credential_version: 500 });
    expect(crashed.status).toBe(500);
    const body = await crashed.text();
    expect(JSON.parse(body)).toMatchObject({ code: 'service.internal' });
    expect(body).not.toContain('inner detail');
    expect(log.saying('connections.refresh failed').at(-1)).toMatchObject({ err: { message: 'an inner detail' } });
  });

  test('an operation that nobody serves is answered at once as the bus being away', async () => {
    const gateway = await start('gateway');
    const answer = await refresh(gateway, {});
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ code: 'bus.unavailable' });
  });

  test('an app serves only what is its own', async () => {
    const foreign = { app: 'refresh', module: ForeignModule, config: ServiceConfig } as const;
    const starting = startService(foreign, world.envOf('refresh'), { logDestination: log });
    await expect(starting).rejects.toMatchObject({ code: 'config.invalid' });
  });

  test('a message whose handler fails comes again until it succeeds, then is gone', async () => {
    const deliveries: number[] = [];
    const done = Promise.withResolvers<unknown>();
    work = async (payload, message) => {
      deliveries.push(message.deliveries);
      if (deliveries.length === 1) throw new PosternError('log.unavailable', 'x', { details: { retry_after_s: 0.01 } });
      if (deliveries.length === 2) throw new TypeError('a crash');
      done.resolve(payload);
    };
    const service = await start('refresh');
    await publishDue(service, { reason: 'due' });
    expect(await done.promise).toEqual({ reason: 'due' });
    await service.stop();
    expect(deliveries).toEqual([1, 2, 3]);
    expect(await leftToWork()).toBe(0);
  });

  test('a message that can never be handled is given up, and the next one is handled', async () => {
    const seen: unknown[] = [];
    const done = Promise.withResolvers<void>();
    work = async (payload) => {
      seen.push(payload);
      if (payload === 'never') throw new PosternError('connection.revoked', 'x');
      done.resolve();
    };
    const service = await start('refresh');
    await publishDue(service, Buffer.from('{no json'));
    await publishDue(service, 'never');
    await publishDue(service, 'next');
    await done.promise;
    await service.stop();
    expect(seen).toEqual(['never', 'next']);
    expect(await leftToWork()).toBe(0);
    expect(log.saying('refreshWorker: the message was given up').map(({ code }) => code)).toEqual([
      'log.message_damaged',
      'connection.revoked',
    ]);
  });

  test('what a handler has nothing to do with is acknowledged, and not handed to it', async () => {
    const seen: unknown[] = [];
    const done = Promise.withResolvers<void>();
    work = async (payload) => {
      seen.push(payload);
      done.resolve();
    };
    const service = await start('refresh');
    await publishDue(service, 'skip');
    await publishDue(service, 'next');
    await done.promise;
    await service.stop();
    expect(seen).toEqual(['next']);
    expect(await leftToWork()).toBe(0);
  });

  test('a handler that settles its message itself has the last word', async () => {
    const deliveries: number[] = [];
    const done = Promise.withResolvers<void>();
    work = async (_payload, message) => {
      deliveries.push(message.deliveries);
      if (deliveries.length === 2) return done.resolve();
      message.nak(1);
      throw new PosternError('connection.revoked', 'would be given up');
    };
    const service = await start('refresh');
    await publishDue(service, {});
    await done.promise;
    await service.stop();
    expect(deliveries).toEqual([1, 2]);
  });

  test('no more messages are worked on at a time than was asked for', async () => {
    let now = 0;
    let most = 0;
    const all = Promise.withResolvers<void>();
    let left = 20;
    work = async () => {
      most = Math.max(most, (now += 1));
      await new Promise(setImmediate);
      now -= 1;
      if ((left -= 1) === 0) all.resolve();
    };
    const service = await start('refresh');
    await Promise.all(Array.from({ length: 20 }, (_, n) => publishDue(service, n)));
    await all.promise;
    expect(most).toBeLessThanOrEqual(4);
  });

  test('a message carries the trace of whoever published it', async () => {
    const service = await start('refresh');
    const worked = Promise.withResolvers<{ traceparent: string | undefined; correlationId: string }>();
    work = async () => worked.resolve(commitOrigin());
    const published = await withCall('publishing', async () => {
      const headers = outgoingHeaders();
      await publishDue(service, {}, headers);
      return headers;
    });
    const origin = await worked.promise;
    expect(published['traceparent']).toMatch(/-01$/);
    expect(origin.traceparent?.split('-')[1]).toBe(published['traceparent']?.split('-')[1]);
    expect(origin.correlationId).toBe(published['Postern-Correlation-Id']);
    const told = () =>
      spans
        .getFinishedSpans()
        .filter((span) => published['traceparent']?.includes(span.spanContext().traceId))
        .map(({ name }) => name);
    await waitFor(() => told().length >= 3, { timeoutMs: patienceMs, describe: 'the span of the work to end' });
    expect(told()).toEqual(['send REFRESH', 'publishing', 'process REFRESH']);
    const sends = service.get(Metrics).histogram('messaging.client.operation.duration');
    expect(sends.count({ 'messaging.destination.name': 'REFRESH', outcome: 'stored' })).toBeGreaterThan(0);
  });

  test.each(['request', 'operation', 'message'])(
    'stopping finishes the %s that is in hand before anything else ends, and takes nothing new',
    async (inHand) => {
      const [gateway, service] = await Promise.all([start('gateway'), start('refresh'), start('vault')]);
      order = [];
      const entered = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      meanwhile = async (what) => {
        entered.resolve();
        await release.promise;
        order.push(what);
      };
      work = () => meanwhile('message');
      const begin: Record<string, () => Promise<Response | object>> = {
        request: () => fetch(`${service.httpUrl}/slow`, { method: 'POST' }),
        operation: () => refresh(gateway, {}),
        message: () => publishDue(service, {}),
      };
      const answer = begin[inHand]?.();
      await entered.promise;

      const stopped = service.stop().then((inTime) => (order.push('stopped'), inTime));
      await until(async () => await isRefused(`${service.httpUrl}/healthz`));
      // One that would be refused at once, were it still taken.
      await until(async () => (await refresh(gateway, { credential_version: 404 })).status === 503);
      expect(order).toEqual([]);
      release.resolve();

      expect(await answer).toMatchObject(inHand === 'message' ? { duplicate: false } : { status: 200 });
      expect(await stopped).toBe(true);
      expect(order).toEqual([inHand, 'followers ended', 'stopped']);
    },
  );

  test('a service without the bus is alive and not ready, and ready again when it is back', async () => {
    const service = await start('gateway');
    await server.kill();
    await until(async () => (await fetch(`${service.httpUrl}/readyz`)).status === 503);
    const report = await (await fetch(`${service.httpUrl}/readyz`)).json();
    expect(report).toMatchObject({ ready: false, checks: { bus: 'disconnected', service: 'ok' } });
    expect((await fetch(`${service.httpUrl}/healthz`)).status).toBe(200);
    const { dataDir, port, monitorPort } = server;
    server = await startNatsServer({
      dataDir,
      port,
      monitorPort,
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    await until(async () => (await fetch(`${service.httpUrl}/readyz`)).status === 200);
  });
});

async function isRefused(url: string): Promise<boolean> {
  return await fetch(url).then(
    () => false,
    () => true,
  );
}

/** Waits on progress. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(holds, { timeoutMs: patienceMs, describe: 'what the test waits for' });
}
