import { MemoryEventLog, type StoredMessage } from '@postern/event-log';

import { positionAt } from './position-at.ts';

const startMs = Date.parse('2026-11-22T12:00:00Z');
const subject = 'admin.t.tenant.t';

/** A log in which each message says its own time; all were stored at once, as after a move. */
function logOf(seconds: readonly (number | 'foreign')[]) {
  const log = new MemoryEventLog({ nowMs: () => startMs + 1e9 });
  for (const second of seconds) log.put({ subject, payload: Buffer.from(`${second}`), headers: {} });
  const timeOf = ({ payload }: StoredMessage) => {
    const text = Buffer.from(payload).toString('utf8');
    return text === 'foreign' ? undefined : startMs + Number(text) * 1_000;
  };
  return { log, filter: 'admin.>', timeOf };
}
const at = async (second: number, seconds: readonly (number | 'foreign')[]) =>
  await positionAt(startMs + second * 1_000, logOf(seconds));

test('a time is where the stream stood before its first later message, by what the writers say', async () => {
  const seconds = Array.from({ length: 200 }, (_, index) => index);
  for (const second of [0, 1, 57, 198, 199]) expect([second, await at(second, seconds)]).toEqual([second, second + 1]);
  expect(await at(-1, seconds)).toBe(0);
  expect(await at(10_000, seconds)).toBe(200);
  expect(await at(5, [])).toBe(0);
});

test('of several messages at one time all are before what comes later', async () => {
  expect(await at(3, [1, 3, 3, 3, 4])).toBe(4);
  expect(await at(2, [1, 3, 3, 3, 4])).toBe(1);
});

test('a writer whose clock is ahead ends the moment where he first is: the same for ever', async () => {
  const seconds = [...Array.from({ length: 100 }, (_, index) => index), 108, 100, 101, 102, 109, 110];
  expect(await at(101, seconds)).toBe(100);
  expect(await at(108, seconds)).toBe(104);
});

test('what nobody signed has no time, wherever it stands', async () => {
  const seconds = ['foreign', 1, 'foreign', 'foreign', 50, 'foreign', 100, 'foreign'] as const;
  expect(await at(0, seconds)).toBe(1);
  expect(await at(60, seconds)).toBe(6);
  expect(await at(100, seconds)).toBe(8);
});
