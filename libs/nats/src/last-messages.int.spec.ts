import { newId, streams, subjects } from '@postern/contracts';

import { lastMessages } from './last-messages.ts';
import { lastMessagesSubjectsMax } from './read-by-subject.ts';
import { publishMessage } from './publish-message.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

const stream = streams.refresh.name;
let nats: PosternBus;

beforeAll(async () => {
  nats = await PosternBus.start();
}, 240_000);
afterAll(async () => {
  await nats.stop();
});

/** A connection's two subjects, and what `refresh` does with them. */
async function connection() {
  const bus = await nats.shared('refresh');
  const ids = { tenantId: newId('tenant'), connectionId: newId('connection') };
  const schedule = subjects.refreshSchedule(ids);
  const due = subjects.refreshDue(ids);
  const set = (atMs: number, payload: object) =>
    publishMessage(bus, {
      stream,
      subject: schedule,
      payload,
      headers: { 'Nats-Schedule': `@at ${new Date(atMs).toISOString()}`, 'Nats-Schedule-Target': due },
    });
  const read = async () => {
    const found = await lastMessages(bus, { stream, subjects: [schedule, due] });
    return { schedule: found.get(schedule), due: found.get(due) };
  };
  const until = async (holds: (found: Awaited<ReturnType<typeof read>>) => boolean) => {
    for (;;) {
      const found = await read();
      if (holds(found)) return found;
    }
  };
  return { bus, schedule, due, set, read, until };
}
const text = (message: { readonly payload: Uint8Array } | undefined) =>
  message === undefined ? undefined : Buffer.from(message.payload).toString('utf8');

test('the last message of each subject is read, and of those without one nothing', async () => {
  const one = await connection();
  const other = await connection();
  await one.set(Date.now() + 3_600_000, { n: 1 });
  const { position } = await one.set(Date.now() + 7_200_000, { n: 2 });
  const asked = [one.schedule, one.due, other.schedule, other.due];
  const found = await lastMessages(one.bus, { stream, subjects: asked });
  expect([...found.keys()]).toEqual([one.schedule]);
  expect(found.get(one.schedule)).toMatchObject({ position, subject: one.schedule });
  expect(text(found.get(one.schedule))).toBe('{"n":2}');
  expect(found.get(one.schedule)?.headers['Nats-Schedule-Target']).toBe(one.due);
  expect(await lastMessages(one.bus, { stream, subjects: [] })).toEqual(new Map());
});

test('a schedule becomes the message it names when it is time, and is gone then', async () => {
  const { set, until } = await connection();
  await set(Date.now() - 1, { n: 3 });
  const { schedule, due } = await until((found) => found.due !== undefined);
  expect([schedule, text(due)]).toEqual([undefined, '{"n":3}']);
});

test('what replaces a schedule without being one cancels it, and goes by itself', async () => {
  const { bus, schedule, set, read, until } = await connection();
  await set(Date.now() + 400, { n: 4 });
  await publishMessage(bus, { stream, subject: schedule, payload: { cancelled: true }, headers: { 'Nats-TTL': '1s' } });
  expect((await read()).schedule?.headers['Nats-Schedule']).toBeUndefined();
  const gone = await until((found) => found.schedule === undefined);
  expect(gone.due).toBeUndefined();
});

test('a thousand subjects are read at once, and more than the server answers are refused', async () => {
  const { bus, schedule, set } = await connection();
  await set(Date.now() + 3_600_000, { n: 5 });
  const strangers = Array.from({ length: lastMessagesSubjectsMax - 1 }, (_, n) => `refresh.due.ten_a.con_${n}`);
  expect((await lastMessages(bus, { stream, subjects: [...strangers, schedule] })).size).toBe(1);
  const tooMany = lastMessages(bus, { stream, subjects: [...strangers, schedule, 'refresh.due.ten_a.con_x'] });
  await expect(tooMany).rejects.toMatchObject({ code: 'service.internal' });
});
