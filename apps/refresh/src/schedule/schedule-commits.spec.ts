import { jest } from '@jest/globals';
import { newId, subjects } from '@postern/contracts';

import { connected, stateOf, the } from '../spec-support/states.ts';
import { namesAChange, ScheduleCommits } from './schedule-commits.ts';

const bytesOf = (events: readonly object[]) => Buffer.from(JSON.stringify({ events, state: stateOf(connected) }));

test('claim and release change no plan, an outcome does, and so does what came with others', () => {
  expect(namesAChange(bytesOf([the.claimed(), the.released]))).toBe(false);
  expect(namesAChange(bytesOf([the.claimed()]))).toBe(false);
  for (const event of [the.authorized(), the.failed(1), the.interrupted, the.revoked, the.suspended]) {
    expect(namesAChange(bytesOf([the.claimed(), event]))).toBe(true);
  }
});

const [tenantId, connectionId] = [newId('tenant'), newId('connection')];

/** Which messages are read, and which connection is planned for up to where, while memory is at one position. */
async function scheduled(kind: 'commit' | 'foreign', memoryPosition?: number) {
  const [read, set] = [jest.fn(() => ({ kind })), jest.fn(async () => undefined)];
  const known = memoryPosition === undefined ? undefined : { position: memoryPosition };
  const scheduler = new ScheduleCommits({ read } as never, { peek: () => known } as never, { set } as never);
  const message = { subject: subjects.connection({ tenantId, connectionId }), position: 7 };
  await scheduler.commit({}, message as never);
  return { reads: read.mock.calls.length, set: set.mock.calls };
}
const planned = [[expect.objectContaining({ tenantId, id: connectionId }), { position: 7 }]];

test('what memory is proven up to is planned by without being read again', async () => {
  for (const position of [7, 8]) expect(await scheduled('commit', position)).toEqual({ reads: 0, set: planned });
});

test('what memory has not shown yet is read, and changes a plan only where it is a commit', async () => {
  for (const position of [undefined, 6]) {
    expect(await scheduled('commit', position)).toEqual({ reads: 1, set: planned });
    expect(await scheduled('foreign', position)).toEqual({ reads: 1, set: [] });
  }
});
