import { importerName, importPermissions, newId, streams } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';

import { connectBus, type Bus } from './bus.ts';
import { importMessages } from './import-messages.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { importerCreds } from './user-credentials.ts';

let nats: PosternBus;
let importer: Bus;
let provisioner: Bus;

beforeAll(async () => {
  nats = await PosternBus.start();
  const creds = await importerCreds(nats.bundle, { ttlMs: 600_000 });
  importer = await connectBus({
    servers: `nats://127.0.0.1:${nats.port}`,
    creds,
    identity: importerName,
    name: 'spec',
  });
  provisioner = await nats.as('provisioner');
});
afterAll(async () => {
  await importer.close();
  await nats.stop();
});

const message = (position: number, headers: StoredMessage['headers'] = {}): StoredMessage => ({
  subject: `access.vault.w${newId('correlation')}`,
  position,
  timeMs: 0,
  payload: Buffer.from(`{"n":${position}}`),
  headers,
});

async function* each(...messages: readonly StoredMessage[]): AsyncIterable<StoredMessage> {
  yield* messages;
}

test('a stream is filled as it was, also with ids that stood in it twice', async () => {
  const expecting = { 'Nats-Msg-Id': 'one', 'Nats-Expected-Last-Subject-Sequence': '0' };
  const messages = [message(1, expecting), message(2, { 'Nats-Msg-Id': 'two' }), message(3, { 'Nats-Msg-Id': 'one' })];
  const options = { importer, provisioner, stream: 'access', renumber: false } as const;
  expect(await importMessages(each(...messages), options)).toBe(3);
  const stored: StoredMessage[] = [];
  const log = new JetStreamEventLog({ bus: await nats.as('audit'), stream: 'access' });
  for await (const { subject, position, payload, headers } of log.read({ filter: '>' })) {
    stored.push({ subject, position, timeMs: 0, payload: Buffer.from(payload), headers });
  }
  expect(stored).toEqual(messages);
  await expect(importMessages(each(message(4)), options)).rejects.toMatchObject({ code: 'log.conflict' });
});

test('a message that would get another position than it had stops the import', async () => {
  const options = { importer, provisioner, stream: 'admin', renumber: false } as const;
  const subject = `admin.${newId('tenant')}.agent.${newId('agent')}`;
  const gap = importMessages(each({ ...message(2), subject }), options);
  await expect(gap).rejects.toMatchObject({ code: 'log.conflict', message: expect.stringContaining('stands at 1') });
});

test('the user of an import writes the streams of the log, and nothing else', () => {
  const { publish, subscribe } = importPermissions();
  const names = [streams.connections, streams.admin, streams.access, streams.checkpoints];
  expect(publish.toSorted()).toEqual(
    names.flatMap(({ name, subjects }) => [...subjects, `$JS.API.STREAM.INFO.${name}`]).toSorted(),
  );
  expect(subscribe).toEqual(['_INBOX.importer.>']);
});
