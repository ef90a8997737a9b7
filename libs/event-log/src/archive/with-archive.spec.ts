import { MemoryEventLog } from '../memory-event-log.ts';
import type { StoredMessage } from '../event-log.ts';
import type { Archive } from './stream-archive.ts';
import { withArchive } from './with-archive.ts';

const all = 8;
const gone = 5;
const subject = 'connection.1.ten_a.con_a';

/** A log of eight messages whose first five stand in an archive alone, and how often that was looked at. */
async function cutLog(archivedUpTo = gone) {
  const live = new MemoryEventLog();
  for (let n = 1; n <= all; n += 1) {
    const message = { subject, payload: Buffer.from(`${n}`), headers: {}, messageId: `${n}` };
    await live.append({ ...message, expectedPosition: n - 1 });
  }
  const messages: StoredMessage[] = [];
  for await (const message of live.read({ filter: '>' })) messages.push(message);
  live.cut({ firstPosition: gone + 1, verifiedUpTo: all });
  const looked = { times: 0 };
  const archive: Archive = {
    lastPosition: () => ((looked.times += 1), Promise.resolve(archivedUpTo)),
    read: async function* ({ fromPosition = 1, untilPosition = Infinity }) {
      const held = messages.filter(({ position }) => position <= archivedUpTo);
      yield* held.filter(({ position }) => position >= fromPosition && position <= untilPosition);
    },
    last: (_subject, untilPosition) => Promise.resolve(messages.findLast(({ position }) => position <= untilPosition)),
  };
  return { log: withArchive(live, archive), looked };
}

async function positions(messages: AsyncIterable<StoredMessage>): Promise<number[]> {
  const found: number[] = [];
  for await (const { position } of messages) found.push(position);
  return found;
}

test.each([
  [1, all, [1, 2, 3, 4, 5, 6, 7, 8]],
  [3, 4, [3, 4]],
  [5, 6, [5, 6]],
  [6, all, [6, 7, 8]],
  [9, all, []],
])('from %i to %i archive and stream are one log', async (fromPosition, untilPosition, expected) => {
  const { log } = await cutLog();
  expect(await positions(log.read({ filter: '>', fromPosition, untilPosition }))).toEqual(expected);
});

test('whoever reads what stands does not look at the archive, however often', async () => {
  const { log, looked } = await cutLog();
  expect((await log.at(gone + 1))?.position).toBe(gone + 1);
  await positions(log.read({ filter: '>', fromPosition: gone + 1 }));
  expect((await log.lastOfEach([subject], gone + 2)).get(subject)?.position).toBe(gone + 2);
  expect(looked.times).toBe(0);
  expect((await log.at(gone))?.position).toBe(gone);
  expect(looked.times).toBe(1);
});

test('the last of each subject is told from where it stands', async () => {
  const { log } = await cutLog();
  const last = async (position: number) => (await log.lastOfEach([subject], position)).get(subject)?.position;
  expect(await last(all)).toBe(all);
  expect(await last(gone)).toBe(gone);
  expect(await last(2)).toBe(2);
});

test('what neither holds is not there', async () => {
  const { log } = await cutLog(3);
  expect(await positions(log.read({ filter: '>' }))).toEqual([1, 2, 3, 6, 7, 8]);
  expect(await log.at(4)).toBeUndefined();
});
