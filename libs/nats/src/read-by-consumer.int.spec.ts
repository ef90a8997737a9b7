import { newId } from '@postern/contracts';
import { subjectOf } from '@postern/event-log';
import { waitFor } from '@postern/testing';
import { jetstreamManager } from '@nats-io/jetstream';

import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;
/** Those that stand there for services. */
let consumers: number;

beforeAll(async () => {
  nats = await PosternBus.start();
  consumers = await consumersNow();
});

afterAll(async () => {
  await nats.stop();
});

const count = 3;

/** A reading of so many messages, each on a subject of its own. */
async function reading() {
  const log = new JetStreamEventLog({ bus: await nats.as('revocation'), stream: 'connections' });
  const tenantId = newId('tenant');
  for (let n = 0; n < count; n += 1) {
    const subject = subjectOf({ tenantId, kind: 'connection', id: newId('connection') });
    const commit = { payload: Buffer.from('{}'), headers: {}, messageId: newId('commit'), expectedPosition: 0 };
    await log.append({ subject, ...commit });
  }
  return log.read({ filter: `connection.*.${tenantId}.*` })[Symbol.asyncIterator]();
}

async function consumersNow(): Promise<number> {
  const { connection } = await nats.as('provisioner');
  const { streams } = await jetstreamManager(connection, { checkAPI: false });
  return (await streams.info('CONNECTIONS')).state.consumer_count;
}

/** No reading has left its consumer behind. */
async function noConsumerIsLeft(): Promise<void> {
  await waitFor(async () => (await consumersNow()) === consumers, { describe: 'no consumer to be left' });
}

test('a reading ends after its last message, and says so as often as it is asked', async () => {
  const messages = await reading();
  for (let n = 0; n < count; n += 1) expect(await messages.next()).toMatchObject({ done: false });
  for (let n = 0; n < 2; n += 1) expect(await messages.next()).toEqual({ done: true, value: undefined });
  await noConsumerIsLeft();
});

test('whoever leaves a reading is given no more of it, and leaves no consumer behind', async () => {
  const messages = await reading();
  expect(await messages.next()).toMatchObject({ done: false });
  expect(await messages.return?.()).toEqual({ done: true, value: undefined });
  expect(await messages.next()).toEqual({ done: true, value: undefined });
  await noConsumerIsLeft();
});

test.each([
  ['before anything was read', 0],
  ['while the first message is waited for', 1],
  ['while the second is', 2],
])('it can be left %s', async (_, asked) => {
  const messages = await reading();
  if (asked > 1) await messages.next();
  const waiting = asked > 0 ? messages.next() : undefined;
  expect(await messages.return?.()).toEqual({ done: true, value: undefined });
  await waiting;
  expect(await messages.next()).toEqual({ done: true, value: undefined });
  await noConsumerIsLeft();
});
