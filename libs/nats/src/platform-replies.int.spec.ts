import {
  consumers,
  inboxPrefix,
  newId,
  operations,
  operationSubject,
  streams,
  type AppName,
  type Operation,
} from '@postern/contracts';
import { jetstreamManager } from '@nats-io/jetstream';
import type { Msg } from '@nats-io/nats-core';

import type { Bus } from './bus.ts';
import { callOperation } from './call-operation.ts';
import { endpoint } from './operation-endpoint.ts';
import { serveOperations } from './serve-operations.ts';
import { platforms, publishProbes } from './spec-support/bus-universe.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { natsHeaders } from './stored-message.ts';

const [attacker, neighbour] = platforms;
const everyOperation: readonly Operation[] = Object.values(operations);
const owners = [...new Set(everyOperation.map(({ owner }) => owner))];
const offered = everyOperation.filter(({ callers }) => callers.includes('platform'));

let nats: PosternBus;
let platform: Bus;
/** What the services were asked, by subject; and what came into an inbox of CORE. */
const asked: string[] = [];
const leaked: string[] = [];

beforeAll(async () => {
  nats = await PosternBus.start();
  for (const owner of owners) await serve(owner);
  platform = await nats.asPlatform(attacker.tenantId, attacker.platformId);
});
afterAll(async () => {
  await nats.stop();
});

/** Answers everything with what it was asked: whoever can send an answer somewhere chooses its words. */
async function serve(owner: AppName): Promise<void> {
  const bus = await nats.shared(owner);
  const endpoints = everyOperation
    .filter((operation) => operation.owner === owner)
    .map((operation) =>
      endpoint(operation, (request, { subject }) => {
        asked.push(subject);
        return request as never;
      }),
    );
  await serveOperations(bus, { name: owner, version: '0.1.0', endpoints });
  bus.connection.subscribe(`${inboxPrefix(owner)}.>`, { callback: (_error, { subject }) => void leaked.push(subject) });
  await bus.connection.flush();
}

/** Where others of PLATFORMS listen: there an answer can be sent, but it does not look like what Postern says. */
const neighbours = [`${inboxPrefix(neighbour.platformId)}.x`, `notify.${neighbour.tenantId}.connection.revoked`];

/** Everything on the bus that anybody may say, and what hurts most. */
function targets(): string[] {
  const streamNames = Object.values(streams).map(({ name }) => name);
  const said = publishProbes().map(({ subject }) => subject);
  const mine = offered.map((operation) => operationSubject(operation, attacker));
  const hurting = streamNames.flatMap((name) => [`$JS.API.STREAM.DELETE.${name}`, `$JS.API.STREAM.PURGE.${name}`]);
  return [...new Set([...said, ...hurting, ...neighbours])].filter((subject) => !mine.includes(subject));
}

async function standing(): Promise<unknown> {
  const provisioner = await nats.shared('provisioner');
  const manager = await jetstreamManager(provisioner.connection, { checkAPI: false });
  const states = [];
  for (const { name } of Object.values(streams)) {
    const { config, state } = await manager.streams.info(name);
    states.push({ config, messages: state.messages, last: state.last_seq, consumers: state.consumer_count });
  }
  expect(Object.keys(consumers)).toHaveLength(states.reduce((sum, one) => sum + one.consumers, 0));
  return states;
}

test('whatever a platform names as its reply: no stream, no service and no inbox of CORE gets an answer', async () => {
  const before = await standing();
  const neighbourBus = await nats.asPlatform(neighbour.tenantId, neighbour.platformId);
  const strayed: Msg[] = [];
  for (const subject of neighbours) {
    neighbourBus.connection.subscribe(subject, { callback: (_error, message) => void strayed.push(message) });
  }
  await neighbourBus.connection.flush();
  const mine = new Set(offered.map((operation) => operationSubject(operation, attacker)));
  const lease = {
    connection_id: newId('connection'),
    agent_id: newId('agent'),
    purpose: 'spec',
    recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
  };
  const forged = natsHeaders({ 'Nats-Msg-Id': 'x', 'Postern-Correlation-Id': 'x' });
  for (const reply of targets()) {
    for (const subject of mine) platform.connection.publish(subject, '{}', { reply, headers: forged });
    platform.connection.publish(operationSubject(operations.leaseToken, attacker), JSON.stringify(lease), {
      reply,
      headers: forged,
    });
  }
  await platform.connection.flush();
  // The services answer in order: when the last call is answered, all before it are.
  for (const operation of offered) {
    await callOperation(platform, operation, attacker, {}, { timeoutMs: 30_000 }).catch(() => undefined);
  }
  for (const owner of owners) await (await nats.shared(owner)).connection.flush();
  expect(await standing()).toEqual(before);
  expect(asked.filter((subject) => !mine.has(subject))).toEqual([]);
  expect(asked.length).toBeGreaterThan(targets().length);
  expect(leaked).toEqual([]);
  // By this header a platform knows a notification: no answer carries it, and who asks cannot put it there.
  await neighbourBus.connection.flush();
  expect(strayed.length).toBeGreaterThan(0);
  expect(strayed.filter(({ headers }) => headers?.has('Nats-Msg-Id') === true)).toEqual([]);
});
