import { streams, subjects } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';

import { CheckpointKeeper } from './checkpoint-keeper.ts';
import { CheckpointReader, type PlacedCheckpoint } from './checkpoint-reader.ts';
import { MemoryEventLog } from './memory-event-log.ts';

const key = generateSigningKey();
const trust = { name: 'postern.example', keys: [key.publicJwk] };
const stream = 'access';
const message = { subject: 'access.vault.one', payload: Buffer.from('{}'), headers: {} };

/** A stream whose trees of these sizes were signed, with what others wrote between. */
async function checkpointed(sizes: readonly number[], stranger = 0) {
  const [log, checkpoints] = [new MemoryEventLog(), new MemoryEventLog()];
  const keeper = new CheckpointKeeper({ stream, log, checkpoints, trust, keys: [key.privateJwk] });
  const subject = subjects.checkpoint(streams[stream].name);
  let size = 0;
  for (const wanted of sizes) {
    for (; size < wanted; size += 1) log.put(message);
    await keeper.round();
    checkpoints.put({ ...message, subject: subjects.checkpoint(streams.connections.name) });
    for (let n = 0; n < stranger; n += 1) checkpoints.put({ ...message, subject });
  }
  return { checkpoints, reader: new CheckpointReader(trust, stream) };
}

const sizeOf = (found: PlacedCheckpoint | undefined) => found?.checkpoint.size;
const sizes = [2, 3, 7, 8, 12];

test.each([0, 2])('a checkpoint is found by the size of its tree, with %i strangers behind each', async (strangers) => {
  const { checkpoints, reader } = await checkpointed(sizes, strangers);
  for (let size = 1; size <= 13; size += 1) {
    expect(sizeOf(await reader.upTo(size, checkpoints))).toBe(sizes.findLast((one) => one <= size));
    expect(sizeOf(await reader.from(size, checkpoints))).toBe(sizes.find((one) => one >= size));
  }
});

test('where none was made none is found', async () => {
  const { checkpoints, reader } = await checkpointed([]);
  expect(await reader.upTo(5, checkpoints)).toBeUndefined();
  expect(await reader.from(5, checkpoints)).toBeUndefined();
});

test('among a hundred it is found in a few look-ups', async () => {
  const { checkpoints, reader } = await checkpointed(Array.from({ length: 100 }, (_, n) => n + 1));
  let looked = 0;
  const counted = Object.create(checkpoints) as MemoryEventLog;
  counted.head = () => checkpoints.head();
  counted.last = (...asked) => ((looked += 1), checkpoints.last(...asked));
  expect(sizeOf(await reader.upTo(32, counted))).toBe(32);
  expect(looked).toBeLessThan(12);
});
