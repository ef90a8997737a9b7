import { consumers, operations, streams } from '@postern/contracts';
import { errors } from '@nats-io/nats-core';

import type { Bus } from './bus.ts';
import {
  nameOf,
  parties,
  publishProbes,
  subscribeProbes,
  type Party,
  type Probe,
} from './spec-support/bus-universe.ts';
import { appenders, callers, followers, lookers, servers, workers } from './spec-support/expected-rights.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;

// Without its streams, so that what is allowed does nothing.
beforeAll(async () => {
  nats = await PosternBus.start({ provisioned: false });
});
afterAll(async () => {
  await nats.stop();
});

/** Refusals come as errors of the connection, in order, before the answer to a flush. */
async function refusedBy(bus: Bus, operation: 'publish' | 'subscription', say: () => void): Promise<Set<string>> {
  const refused = new Set<string>();
  const stop = bus.onStatus((status) => {
    if (status.type !== 'error' || !(status.error instanceof errors.PermissionViolationError)) return;
    if (status.error.operation === operation) refused.add(status.error.subject);
  });
  say();
  await bus.connection.flush();
  // The refusals are handed on one by one, each a turn later; what was refused last is the sign that all are here.
  const last = `refused.last.${operation}`;
  if (operation === 'publish') bus.connection.publish(last);
  else bus.connection.subscribe(last, { callback: () => undefined });
  while (!refused.has(last)) await new Promise((resolve) => setImmediate(resolve));
  stop();
  return refused;
}

async function connect(party: Party): Promise<Bus> {
  if (party.kind === 'identity') return await nats.as(party.name);
  return party.kind === 'platform'
    ? await nats.asPlatform(party.tenantId, party.platformId)
    : await nats.asBridge(party);
}
const verdicts = (probes: readonly Probe[], may: (probe: Probe) => boolean) =>
  probes.map((probe) => `${may(probe) ? 'may' : 'may not'} ${probe.subject}`);

describe.each(parties.map((party) => [nameOf(party), party] as const))('%s', (_name, party) => {
  let bus: Bus;
  beforeAll(async () => {
    bus = await connect(party);
  });
  afterAll(async () => {
    await bus.close();
  });

  test('publishes what its row says, and nothing else', async () => {
    const probes = publishProbes();
    const refused = await refusedBy(bus, 'publish', () => {
      for (const { subject } of probes) bus.connection.publish(subject);
    });
    const expected = verdicts(probes, ({ may }) => may(party));
    expect(verdicts(probes, ({ subject }) => !refused.has(subject))).toEqual(expected);
  });

  test('subscribes to what its row says, and nothing else', async () => {
    const probes = subscribeProbes();
    const refused = await refusedBy(bus, 'subscription', () => {
      for (const { subject } of probes) bus.connection.subscribe(subject, { callback: () => undefined });
    });
    const expected = verdicts(probes, ({ may }) => may(party));
    expect(verdicts(probes, ({ subject }) => !refused.has(subject))).toEqual(expected);
  });
});

test('whatever is on the bus has a row that says who may use it', () => {
  const streamKeys = Object.keys(streams);
  expect(Object.keys(appenders)).toEqual(streamKeys);
  expect(Object.keys(followers)).toEqual(streamKeys);
  expect(Object.keys(lookers).toSorted()).toEqual(streamKeys.toSorted());
  for (const [key, { subjects }] of Object.entries(streams)) {
    expect(Object.keys(appenders[key as keyof typeof streams])).toEqual([...subjects]);
  }
  expect(Object.keys(workers).toSorted()).toEqual(Object.keys(consumers).toSorted());
  expect(Object.keys(callers).toSorted()).toEqual(Object.keys(operations).toSorted());
  expect(Object.keys(servers).toSorted()).toEqual(Object.keys(operations).toSorted());
});
