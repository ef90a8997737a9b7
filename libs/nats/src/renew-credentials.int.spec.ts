import { consumers, newId, operations, streams, subjects } from '@postern/contracts';
import { waitFor } from '@postern/testing';

import { connectBus, type Bus } from './bus.ts';
import { callOperation } from './call-operation.ts';
import { instancesOf } from './instances.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { JetStreamWorker } from './jetstream-worker.ts';
import { endpoint } from './operation-endpoint.ts';
import { publishMessage } from './publish-message.ts';
import { serveOperations } from './serve-operations.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { identityCreds } from './user-credentials.ts';

const renewals = 10;
const tenantId = newId('tenant');
const platformId = newId('platform');

let nats: PosternBus;
const buses: Bus[] = [];

beforeAll(async () => {
  nats = await PosternBus.start();
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
});
afterAll(async () => {
  await nats.stop();
});

async function connect(identity: 'vault' | 'gateway' | 'refresh'): Promise<Bus> {
  const creds = await identityCreds(nats.bundle, identity);
  const bus = await connectBus({ servers: `nats://127.0.0.1:${nats.port}`, creds, identity, name: 'spec' });
  buses.push(bus);
  return bus;
}

const lease = () => ({
  connection_id: newId('connection'),
  agent_id: newId('agent'),
  purpose: 'spec',
  recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
});

test('a bus that is renewed while it asks and answers loses neither a request nor an answer', async () => {
  const [vault, gateway] = [await connect('vault'), await connect('gateway')];
  const served = await serveOperations(vault, {
    name: 'vault',
    version: '0.1.0',
    endpoints: [endpoint(operations.leaseToken, (_request, { caller }) => caller as never)],
  });
  const administrator = await nats.as('administrator');
  const servedAs = served.id;
  const failures: unknown[] = [];
  let answered = 0;
  let stopped = false;
  const ask = async () => {
    while (!stopped) {
      await callOperation(gateway, operations.leaseToken, { tenantId, platformId }, lease()).then(
        () => (answered += 1),
        (error: unknown) => failures.push(error),
      );
    }
  };
  const asking = Array.from({ length: 8 }, ask);
  for (let round = 0; round < renewals; round += 1) {
    const before = answered;
    await Promise.all([vault.renew(), gateway.renew()]);
    while (answered < before + 50 && failures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  stopped = true;
  await Promise.all(asking);
  expect(failures).toEqual([]);
  // It serves on the new connection, and on no other any more.
  expect(served.id).not.toBe(servedAs);
  expect((await instancesOf(administrator, 'vault')).map(({ id }) => id)).toEqual([served.id]);
  await served.stop();
});

test('a feed and a worker go over with their bus: each message once, in order, and nothing is reset', async () => {
  const refresh = await connect('refresh');
  const [heard, worked] = [[] as number[], [] as number[]];
  let resets = 0;
  const filter = 'connection.>';
  const log = new JetStreamEventLog({ bus: refresh, stream: 'connections' });
  const onMessage = ({ position }: { position: number }) => heard.push(position);
  const feed = await log.subscribe({ filter, onMessage, onReset: () => (resets += 1) });
  const worker = new JetStreamWorker({
    bus: refresh,
    consumer: 'refreshWorker',
    concurrencyMax: 4,
    handle: async (message) => void worked.push(message.json<{ n: number }>().n),
  });
  await worker.start();
  for (let n = 0; n < renewals; n += 1) {
    const [connectionId, renewing] = [newId('connection'), refresh.renew()];
    const subject = subjects.connection({ tenantId, connectionId });
    const request = { subject, payload: new Uint8Array(1), headers: {}, messageId: connectionId, expectedPosition: 0 };
    await log.append(request);
    const due = { stream: streams.refresh.name, subject: subjects.refreshDue({ tenantId, connectionId }) };
    await publishMessage(refresh, { ...due, payload: { n } });
    await renewing;
  }
  await waitFor(() => heard.length === renewals && worked.length === renewals, {
    timeoutMs: consumers.refreshWorker.ackWaitMs + 10_000,
    describe: () => `heard ${heard.join()}, worked off ${worked.join()}`,
  });
  expect(heard).toEqual(heard.toSorted((a, b) => a - b));
  expect(worked.toSorted((a, b) => a - b)).toEqual(Array.from({ length: renewals }, (_, n) => n));
  expect(resets).toBe(0);
  await worker.stop();
  await feed.stop();
});
