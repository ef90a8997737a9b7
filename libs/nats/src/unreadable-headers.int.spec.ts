import { jest } from '@jest/globals';
import { newId } from '@postern/contracts';
import { subjectOf, type StoredMessage } from '@postern/event-log';
import { MsgHdrsImpl } from '@nats-io/nats-core/internal';

import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

let nats: PosternBus;

beforeAll(async () => {
  nats = await PosternBus.start();
});

afterAll(async () => {
  await nats.stop();
});

/** A subject with a message whose headers the client throws at, and the position of it and of one that follows. */
async function world() {
  const bus = await nats.as('revocation');
  const log = new JetStreamEventLog({ bus, stream: 'connections' });
  const tenantId = newId('tenant');
  const subject = subjectOf({ tenantId, kind: 'connection', id: newId('connection') });
  const headers = new MsgHdrsImpl();
  // As somebody sends it who speaks the protocol by hand: this client refuses to.
  headers.headers.set('not a name', ['x']);
  expect(() => MsgHdrsImpl.decode(headers.encode())).toThrow('header');
  const answer = await bus.connection.request(subject, 'foreign', { headers, timeout: 5_000 });
  const position = answer.json<{ seq: number }>().seq;
  return { log, subject, position, all: `connection.*.${tenantId}.*` };
}

async function collect(messages: AsyncIterable<StoredMessage>): Promise<StoredMessage[]> {
  const found: StoredMessage[] = [];
  for await (const message of messages) found.push(message);
  return found;
}

test('a message whose headers nobody can read has none, however it is read, and ends no reading', async () => {
  const { log, subject, position, all } = await world();
  const payload = new Uint8Array(Buffer.from('next'));
  await log.append({ subject, payload, headers: { a: 'b' }, messageId: newId('commit'), expectedPosition: position });
  for (const filter of [subject, all]) {
    const read = await collect(log.read({ filter }));
    expect(read.map(({ headers }) => headers)).toEqual([{}, expect.objectContaining({ a: 'b' })]);
  }
  const bare = { subject, position, headers: {} };
  expect(await log.at(position)).toMatchObject(bare);
  expect(await log.last(subject, { untilPosition: position })).toMatchObject(bare);
});

test('as the last message of an aggregate it stops nobody', async () => {
  const { log, subject, position } = await world();
  expect(await log.last(subject)).toMatchObject({ position, headers: {} });
  expect(await log.last(subject, { fromLeader: true })).toMatchObject({ position, headers: {} });
});

test('a follower hears it, and what comes after it', async () => {
  const { log, subject, position, all } = await world();
  const heard: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const onMessage = (message: StoredMessage) => {
    heard.push(message.position);
    if (heard.length === 2) resolve();
  };
  const subscription = await log.subscribe({ filter: all, onMessage, onReset: () => undefined });
  const payload = new Uint8Array(Buffer.from('next'));
  const messageId = newId('commit');
  const next = await log.append({ subject, payload, headers: {}, messageId, expectedPosition: position });
  await promise;
  expect(heard).toEqual([position, next.position]);
  await subscription.stop();
});

test('a status that a writer put into his message hides it from nobody', async () => {
  const { log, subject } = await world();
  const bus = await nats.as('revocation');
  const answer = await bus.connection.request(subject, 'foreign', {
    headers: new MsgHdrsImpl(404, 'Message Not Found'),
    timeout: 5_000,
  });
  const { seq } = answer.json<{ seq: number }>();
  expect(await log.last(subject)).toMatchObject({ position: seq });
  expect((await collect(log.read({ filter: subject }))).at(-1)).toMatchObject({ position: seq });
});

test('the headers of what a consumer delivers are read from its bytes, past the client’s slower way', async () => {
  const { log, subject, position, all } = await world();
  const payload = new Uint8Array(Buffer.from('next'));
  await log.append({ subject, payload, headers: { a: 'b' }, messageId: newId('commit'), expectedPosition: position });
  const decode = jest.spyOn(MsgHdrsImpl, 'decode');
  const read = await collect(log.read({ filter: all }));
  const decoded = decode.mock.calls.map(([block]) => Buffer.from(block).toString());
  decode.mockRestore();
  expect(read).toHaveLength(2);
  expect(decoded.filter((block) => block.includes('a: b'))).toEqual([]);
});
