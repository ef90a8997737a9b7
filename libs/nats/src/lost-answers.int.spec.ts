import { limits, newId, operations, subjects, type Operation } from '@postern/contracts';
import { startTcpProxy, type TcpProxy } from '@postern/testing';

import type { Bus } from './bus.ts';
import { callHeaders } from './call-headers.ts';
import { callOperation } from './call-operation.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { endpoint } from './operation-endpoint.ts';
import { serveOperations } from './serve-operations.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { natsHeaders } from './stored-message.ts';

/** Nothing here ends because its time is over: this is longer than a test may take. */
const foreverMs = 3_600_000;
const signsThatOutlastSilence = 1 + Math.ceil(limits.callSilenceMsMax / limits.callBeatMs);
const { suspendConnection, leaseToken } = operations;
const caller = { tenantId: newId('tenant'), platformId: newId('platform') };
const request = () => ({ connection_id: newId('connection') });

let nats: PosternBus;
let proxy: TcpProxy;
/** Reaches the server through the proxy. */
let far: Bus;
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  nats = await PosternBus.start();
});
beforeEach(async () => {
  proxy = await startTcpProxy({ targetPort: nats.port });
  far = await nats.as('gateway', proxyUrl());
  closers.push(() => proxy.close());
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
afterAll(async () => {
  await nats.stop();
});

const proxyUrl = () => `nats://127.0.0.1:${proxy.port}`;

/** Serves an operation that is worked on until it is told to answer. */
async function serveSlowly(operation: Operation) {
  const bus = await nats.as(operation.owner);
  const began = Promise.withResolvers<void>();
  const work = Promise.withResolvers<unknown>();
  const handler = async () => {
    began.resolve();
    return (await work.promise) as never;
  };
  const service = await serveOperations(bus, {
    name: operation.owner,
    version: '0.1.0',
    endpoints: [endpoint(operation, handler)],
  });
  closers.push(async () => {
    work.resolve({});
    await service.stop();
  });
  return { bus, began: began.promise, answer: (reply: unknown) => work.resolve(reply) };
}

/** Resolves once a call to the same service has heard so many signs of life; its own answer is not waited for. */
async function beatsHeard(operation: Operation, count: number): Promise<void> {
  const bus = await nats.shared('gateway');
  const subject = `${operation.name}.${caller.tenantId}.${caller.platformId}`;
  const headers = natsHeaders({ [callHeaders.beat]: '1' });
  const heard = await bus.connection.requestMany(subject, JSON.stringify(requestOf(operation)), {
    strategy: 'count',
    maxMessages: count,
    maxWait: foreverMs,
    headers,
  });
  for await (const { data, headers: said } of heard) {
    expect([data.length, said?.has(callHeaders.beat)]).toEqual([0, true]);
  }
}

const leaseRequest = () => ({
  ...request(),
  agent_id: newId('agent'),
  purpose: 'spec',
  recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
});

const requestOf = (operation: Operation) => (operation === leaseToken ? leaseRequest() : request());

describe('when the connection is lost', () => {
  test('a call in flight fails at once, however long it could have waited', async () => {
    const { began } = await serveSlowly(suspendConnection);
    const failed = failureOf(callOperation(far, suspendConnection, caller, request(), { timeoutMs: foreverMs }));
    await began;
    proxy.cut();
    expect(await failed).toMatchObject({ code: 'bus.unavailable' });
  });

  test('a call made meanwhile waits for the next connection, and is answered on it', async () => {
    const { answer } = await serveSlowly(suspendConnection);
    answer({ done: true });
    const gone = lost(far);
    proxy.cut();
    await gone;
    const asked = callOperation(far, suspendConnection, caller, request(), { timeoutMs: foreverMs });
    proxy.heal();
    expect(await asked).toEqual({ done: true });
  });

  test('a call made meanwhile is unavailable when there is none in its time', async () => {
    const gone = lost(far);
    proxy.cut();
    await gone;
    const asked = callOperation(far, suspendConnection, caller, request(), { timeoutMs: 50 });
    await expect(asked).rejects.toMatchObject({ code: 'bus.unavailable' });
  });

  test('an append whose acknowledgement was lost with it is found in the log, and stored once', async () => {
    const bus = await nats.as('revocation', proxyUrl());
    const log = new JetStreamEventLog({ bus, stream: 'connections', ackTimeoutMs: foreverMs });
    const subject = subjects.connection({ tenantId: caller.tenantId, connectionId: newId('connection') });
    proxy.dropServerToClient((chunk) => /"stream":"CONNECTIONS", ?"seq"/.test(chunk.toString()));
    const append = { subject, payload: Buffer.from('x'), headers: {}, messageId: newId('commit'), expectedPosition: 0 };
    const { position, duplicate } = await log.append(append);
    expect(duplicate).toBe(true);
    expect((await log.last(subject, { fromLeader: true }))?.position).toBe(position);
  });
});

describe('a caller of a service', () => {
  test('that dies over the call hears of it by its silence', async () => {
    const { bus, began } = await serveSlowly(suspendConnection);
    const failed = failureOf(callOperation(far, suspendConnection, caller, request(), { timeoutMs: foreverMs }));
    await began;
    await bus.close();
    expect(await failed).toMatchObject({ code: 'bus.unavailable' });
  });

  test('that takes its time waits, as long as there are signs of life', async () => {
    const { began, answer } = await serveSlowly(suspendConnection);
    const asked = callOperation(far, suspendConnection, caller, request(), { timeoutMs: foreverMs });
    await began;
    await beatsHeard(suspendConnection, signsThatOutlastSilence);
    answer({ done: true });
    expect(await asked).toEqual({ done: true });
  });

  test('from the account of the platforms gets its answer and nothing else, and waits for it', async () => {
    const { began, answer } = await serveSlowly(leaseToken);
    const platform = await nats.asPlatform(caller.tenantId, caller.platformId);
    const subject = `${leaseToken.name}.${caller.tenantId}.${caller.platformId}`;
    const asked = callOperation(platform, leaseToken, caller, leaseRequest(), { timeoutMs: foreverMs });
    // What it gets when it asks for signs all the same.
    const headers = natsHeaders({ [callHeaders.beat]: '1' });
    const raw = platform.connection.request(subject, JSON.stringify(leaseRequest()), { timeout: foreverMs, headers });
    await began;
    await beatsHeard(leaseToken, signsThatOutlastSilence);
    answer({ done: true });
    expect([await asked, (await raw).json()]).toEqual([{ done: true }, { done: true }]);
  });
});

const failureOf = (asked: Promise<unknown>) => asked.catch((error: unknown) => error);

function lost(bus: Bus): Promise<void> {
  return new Promise((resolve) => {
    const stop = bus.onStatus(({ type }) => {
      if (type !== 'disconnected') return;
      stop();
      resolve();
    });
  });
}
