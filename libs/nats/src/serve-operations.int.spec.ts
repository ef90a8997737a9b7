import { limits, newId, operations, PosternError, type Operation } from '@postern/contracts';

import type { MsgHdrsImpl } from '@nats-io/nats-core/internal';

import type { Bus } from './bus.ts';
import { callHeaders } from './call-headers.ts';
import { callEvery, callOperation } from './call-operation.ts';
import { instancesOf } from './instances.ts';
import { endpoint, type Call } from './operation-endpoint.ts';
import { serveOperations, type ServedOperations } from './serve-operations.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { natsHeaders } from './stored-message.ts';

let nats: PosternBus;
let gateway: Bus;
let revocation: Bus;
const served: ServedOperations[] = [];
const caller = { tenantId: newId('tenant'), platformId: newId('platform') };
const { suspendConnection, confirmPosition, showConnection } = operations;
const request = () => ({ connection_id: newId('connection') });
const reply = (call: Call) => ({ call }) as never;

beforeAll(async () => {
  nats = await PosternBus.start();
  gateway = await nats.as('gateway');
  revocation = await nats.as('revocation');
});
afterEach(async () => {
  await Promise.all(served.splice(0).map((service) => service.stop()));
});
afterAll(async () => {
  await nats.stop();
});

async function serve(
  operation: Operation,
  handler: (request: unknown, call: Call) => Promise<unknown>,
  more: { readonly onError?: (error: PosternError) => void; readonly instance?: string } = {},
): Promise<ServedOperations> {
  const service = await serveOperations(await nats.as(operation.owner), {
    name: operation.owner,
    version: '0.1.0',
    endpoints: [endpoint(operation, async (input, call) => (await handler(input, call)) as never)],
    onError: more.onError,
    metadata: { instance: more.instance ?? 'one' },
  });
  served.push(service);
  return service;
}

describe('a served operation', () => {
  test('answers with what its handler gives, and the handler knows who called', async () => {
    await serve(suspendConnection, (_input, call) => Promise.resolve(reply(call)));
    const correlationId = newId('correlation');
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await callOperation(gateway, suspendConnection, caller, request(), {
      correlationId,
      headers: { traceparent },
    });
    expect(answer).toMatchObject({
      call: { caller, correlationId, headers: { traceparent }, subject: expect.stringContaining(caller.platformId) },
    });
  });

  test('answers in any letters, under the correlation id of the call, and counts what it sends', async () => {
    const words = { text: 'ö — 密 🔑 "\\\r\nPUB x 0\r\n\ud800' };
    const bus = await nats.as(suspendConnection.owner);
    const endpoints = [endpoint(suspendConnection, () => words as never)];
    served.push(await serveOperations(bus, { name: suspendConnection.owner, version: '0.1.0', endpoints }));
    const correlationId = newId('correlation');
    const { connection } = bus;
    const before = connection.stats();
    const raw = await gateway.connection.request(
      `${suspendConnection.name}.${caller.tenantId}.${caller.platformId}`,
      JSON.stringify(request()),
      { timeout: 5_000, headers: natsHeaders({ [callHeaders.correlationId]: correlationId }) },
    );
    expect(raw.json()).toEqual(words);
    expect([...(raw.headers ?? [])]).toEqual([[callHeaders.correlationId, [correlationId]]]);
    const { outMsgs, outBytes } = connection.stats();
    expect(outMsgs - before.outMsgs).toBe(1);
    expect(outBytes - before.outBytes).toBe(raw.data.byteLength + (raw.headers as MsgHdrsImpl).encode().byteLength);
  });

  test('that has more to say than a message holds is told as the failure it is', async () => {
    const errors: PosternError[] = [];
    const bytesMax = gateway.connection.info?.max_payload ?? 0;
    await serve(suspendConnection, () => Promise.resolve({ text: 'a'.repeat(bytesMax) }), {
      onError: (error) => errors.push(error),
    });
    const asked = callOperation(gateway, suspendConnection, caller, request());
    await expect(asked).rejects.toMatchObject({ code: 'service.internal' });
    expect(errors[0]?.cause).toMatchObject({ message: expect.stringContaining('max_payload') });
    expect(await callOperation(gateway, suspendConnection, caller, request()).catch(({ code }) => code)).toBe(
      'service.internal',
    );
  });

  test('answers a refusal with its code, its status and its details', async () => {
    await serve(showConnection, () =>
      Promise.reject(
        new PosternError('connection.reauthorization_required', 'It is over.', {
          details: { reauthorize_url: 'https://postern.example/connect/x' },
        }),
      ),
    ).catch(() => undefined);
    // `audit` owns showConnection.
    const asked = callOperation(gateway, showConnection, caller, request());
    await expect(asked).rejects.toMatchObject({
      code: 'connection.reauthorization_required',
      details: { reauthorize_url: 'https://postern.example/connect/x' },
    });
    const raw = await gateway.connection.request(
      `${showConnection.name}.${caller.tenantId}.${caller.platformId}`,
      JSON.stringify(request()),
    );
    expect(raw.headers?.get('Nats-Service-Error')).toBe('connection.reauthorization_required');
    expect(raw.headers?.get('Nats-Service-Error-Code')).toBe('409');
    expect(raw.headers?.get(callHeaders.correlationId)).toMatch(/^cor_/);
  });

  test('answers a crash without telling what crashed, and reports it', async () => {
    const errors: PosternError[] = [];
    await serve(suspendConnection, () => Promise.reject(new Error('secret inner thing')), {
      onError: (error) => errors.push(error),
    });
    const asked = callOperation(gateway, suspendConnection, caller, request());
    await expect(asked).rejects.toMatchObject({ code: 'service.internal' });
    await expect(asked).rejects.not.toThrow(/secret/);
    expect(errors[0]?.cause).toMatchObject({ message: 'secret inner thing' });
  });

  test.each([
    ['no JSON', 'connection_id=x', 'request.malformed'],
    ['broken UTF-8', Uint8Array.from([0x22, 0xff, 0x22]), 'request.malformed'],
    ['an unknown field', JSON.stringify({ ...request(), more: 1 }), 'request.malformed'],
    ['a wildcard as id', JSON.stringify({ connection_id: 'con_*' }), 'request.malformed'],
    ['more bytes than allowed', 'x'.repeat(limits.requestBytesMax + 1), 'request.too_large'],
  ])('refuses %s', async (_what, payload, code) => {
    let called = false;
    await serve(suspendConnection, () => {
      called = true;
      return Promise.resolve({});
    });
    const raw = await gateway.connection.request(
      `${suspendConnection.name}.${caller.tenantId}.${caller.platformId}`,
      payload,
    );
    expect(raw.headers?.get('Nats-Service-Error')).toBe(code);
    expect(raw.json()).toMatchObject({ code });
    expect(called).toBe(false);
  });

  test('refuses a subject whose tokens are no ids', async () => {
    await serve(suspendConnection, () => Promise.resolve({}));
    const raw = await gateway.connection.request(
      `${suspendConnection.name}.somebody.someone`,
      JSON.stringify(request()),
    );
    expect(raw.json()).toMatchObject({ code: 'request.malformed' });
  });

  test('a correlation id that could forge a log line is replaced', async () => {
    await serve(suspendConnection, (_input, { correlationId }) => Promise.resolve({ correlationId }));
    const headers = natsHeaders({ [callHeaders.correlationId]: 'x y "z"' });
    const subject = `${suspendConnection.name}.${caller.tenantId}.${caller.platformId}`;
    const raw = await gateway.connection.request(subject, JSON.stringify(request()), { headers, timeout: 1_000 });
    expect(raw.json<{ correlationId: string }>().correlationId).toMatch(/^cor_/);
  });

  test('that nobody serves is unavailable, and one that is slow times out', async () => {
    const asked = callOperation(gateway, suspendConnection, caller, request());
    await expect(asked).rejects.toMatchObject({ code: 'bus.unavailable' });
    const work = Promise.withResolvers<unknown>();
    await serve(suspendConnection, () => work.promise);
    const slow = callOperation(gateway, suspendConnection, caller, request(), { timeoutMs: 50 });
    await expect(slow).rejects.toMatchObject({ code: 'bus.timeout' });
    work.resolve({});
  });

  test('is answered by one instance, a broadcast by every one', async () => {
    const calls: string[] = [];
    for (const instance of ['one', 'two', 'three']) {
      const vault = await nats.as('vault');
      served.push(
        await serveOperations(vault, {
          name: 'vault',
          version: '0.1.0',
          metadata: { instance },
          endpoints: [
            endpoint(confirmPosition, ({ position }) => ({ instance, position })),
            endpoint(operations.leaseToken, () => {
              calls.push(instance);
              return {} as never;
            }),
          ],
        }),
      );
    }
    const instances = await instancesOf(revocation, 'vault');
    expect(instances.map(({ metadata }) => metadata['instance']).toSorted()).toEqual(['one', 'three', 'two']);
    const replies = await callEvery(revocation, confirmPosition, { app: 'revocation' }, { position: 7 }, { count: 3 });
    expect(replies.map(({ instance }) => instance).toSorted()).toEqual(['one', 'three', 'two']);
    const lease = {
      ...request(),
      agent_id: newId('agent'),
      purpose: 'spec',
      recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
    };
    await callOperation(gateway, operations.leaseToken, caller, lease);
    expect(calls).toHaveLength(1);
  });

  test('a broadcast to nobody has no replies', async () => {
    expect(
      await callEvery(revocation, confirmPosition, { app: 'revocation' }, { position: 7 }, { timeoutMs: 50 }),
    ).toEqual([]);
    expect(await instancesOf(revocation, 'vault', { timeoutMs: 50 })).toEqual([]);
  });

  test('a stopping service finishes what it has and takes no more', async () => {
    const work = Promise.withResolvers<unknown>();
    const started = Promise.withResolvers<void>();
    const service = await serve(suspendConnection, () => {
      started.resolve();
      return work.promise;
    });
    const asked = callOperation(gateway, suspendConnection, caller, request());
    await started.promise;
    const stopping = service.stop();
    await service.stopped;
    expect(service.inFlight).toBe(1);
    await expect(callOperation(gateway, suspendConnection, caller, request())).rejects.toMatchObject({
      code: 'bus.unavailable',
    });
    work.resolve({ done: true });
    expect(await asked).toEqual({ done: true });
    await stopping;
  });
});
