import type { CommitSigner } from './signing.ts';
import { executing, flip, forge, makeRepository, makeWriters, newRef, type Switch } from './contract/fixtures.ts';
import { subjectOf } from './aggregate.ts';
import { singleReadsMax } from './earlier-commits.ts';
import type { BoundedReadRequest, LastOptions, StoredMessage } from './event-log.ts';
import type { AnyEvent } from './evolver.ts';
import { MemoryEventLog } from './memory-event-log.ts';

/** Counts what it is asked. */
class CountingLog extends MemoryEventLog {
  lookUps = 0;
  /** Those among them for which a server has to search its log. */
  searches = 0;
  batches = 0;
  /** As one that is behind answers, or was cut off: it has nothing of what came from here on, but the very last. */
  behindFrom = Infinity;

  override async last(subject: string, options?: LastOptions): Promise<StoredMessage | undefined> {
    this.lookUps += 1;
    if (options?.untilPosition === undefined) return await super.last(subject, options);
    this.searches += 1;
    return await super.last(subject, { untilPosition: Math.min(options.untilPosition, this.behindFrom - 1) });
  }

  override async at(position: number): Promise<StoredMessage | undefined> {
    this.lookUps += 1;
    return position < this.behindFrom ? await super.at(position) : undefined;
  }

  override read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    this.batches += 1;
    const untilPosition = Math.min(request.untilPosition ?? Infinity, this.behindFrom - 1);
    return super.read({ ...request, ...(untilPosition !== Infinity && { untilPosition }) });
  }
}

const rejected = (): AnyEvent[] => [
  { type: 'ReauthorizationRequired', version: 1, data: { cause: 'refresh_rejected', evidence: null } },
];

/** An aggregate that `refresh` wrote first, and then `revocation`. */
async function world({ byRefresh, byRevocation }: { byRefresh: number; byRevocation: number }) {
  const log = new CountingLog();
  const writers = makeWriters();
  const ref = newRef();
  const writing = (signer: CommitSigner) => makeRepository(log, writers, { signer, cacheEntriesMax: 1 });
  const refresh = writing(writers.signers.refresh);
  for (let turn = 0; turn < byRefresh; turn += 1) await refresh.execute(ref, rejected, executing());
  const revocation = writing(writers.signers.revocation);
  for (let turn = 0; turn < byRevocation; turn += 1) await revocation.execute(ref, flip, executing());
  const { state, revision, hash } = await revocation.load(ref);
  const honest = { state, revision, hash };
  const put = (signer: CommitSigner, more: object, previousPosition?: number) => {
    const { payload, headers } = forge(ref, signer, more);
    log.put({ subject: subjectOf({ ...ref, kind: 'connection' }), payload, headers, previousPosition });
  };
  /** What a proven load gives, and what it asked the log. */
  const load = async () => {
    [log.lookUps, log.searches, log.batches] = [0, 0, 0];
    const { state, revision, hash } = await makeRepository(log, writers).load(ref, { fromLeader: true });
    return { loaded: { state, revision, hash }, lookUps: log.lookUps, batches: log.batches };
  };
  return { log, writers, honest, put, load };
}

test('a short row by one writer is looked up singly, up to what another left before it, however old that is', async () => {
  const { honest, load } = await world({ byRefresh: 40, byRevocation: 2 });
  // The last one, the other of the row, and the one before them.
  expect(await load()).toEqual({ loaded: honest, lookUps: 3, batches: 0 });
});

test('what says where the one before it stands is looked up there, and nothing is searched', async () => {
  const { log, honest, load } = await world({ byRefresh: 2, byRevocation: 2 });
  expect((await load()).loaded).toEqual(honest);
  expect(log.searches).toBe(0);
});

test('what does not say it is searched for, and so is what does not stand there', async () => {
  const { log, writers, honest, put, load } = await world({ byRefresh: 2, byRevocation: 2 });
  const elsewhere = newRef();
  await makeRepository(log, writers, { signer: writers.signers.refresh }).execute(elsewhere, rejected, executing());
  put(writers.signers.stranger, {});
  expect((await load()).loaded).toEqual(honest);
  expect(log.searches).toBe(1);
  // Of another aggregate: as after an import that has renumbered everything.
  put(writers.signers.stranger, {}, 5);
  expect((await load()).loaded).toEqual(honest);
  expect(log.searches).toBe(2);
});

test('a long row is read in one batch', async () => {
  const { honest, load } = await world({ byRefresh: 1, byRevocation: 40 });
  expect(await load()).toEqual({ loaded: honest, lookUps: 1 + singleReadsMax, batches: 1 });
});

test('a row as long as the look-ups go is not read twice', async () => {
  const { honest, load } = await world({ byRefresh: 1, byRevocation: singleReadsMax });
  expect(await load()).toEqual({ loaded: honest, lookUps: 1 + singleReadsMax, batches: 0 });
});

test('an old aggregate is looked up singly for longer, since reading all of it would cost more', async () => {
  const { honest, load } = await world({ byRefresh: 32 * 8, byRevocation: singleReadsMax + 2 });
  expect(await load()).toEqual({ loaded: honest, lookUps: singleReadsMax + 3, batches: 0 });
});

test('a state that a thief signed in the middle of a long row is not believed in a batch either', async () => {
  const { writers, honest, put, load } = await world({ byRefresh: 2, byRevocation: 12 });
  const invented: Switch = { suspended: false, changes: 7 };
  put(writers.signers.revocation, { revision: honest.revision + 1, previousHash: honest.hash, state: invented });
  expect((await load()).loaded).toEqual(honest);
});

test('what is foreign is stepped over, singly and in the batch, and is not looked up one by one', async () => {
  const { writers, honest, put, load } = await world({ byRefresh: 1, byRevocation: 3 });
  for (let turn = 0; turn < 40; turn += 1) put(writers.signers.stranger, {});
  expect(await load()).toEqual({ loaded: honest, lookUps: 1 + singleReadsMax, batches: 1 });
});

describe('where those who answer do not have what stood there', () => {
  test.each([
    ['nothing of it', { byRefresh: 2, byRevocation: 3 }, 1],
    ['only the beginning', { byRefresh: 2, byRevocation: 3 }, 2],
    ['only the beginning of a long row', { byRefresh: 1, byRevocation: 40 }, 30],
  ])('%s: nothing is decided on that, and nothing begun anew', async (_name, row, behindFrom) => {
    const { log, honest, load } = await world(row);
    log.behindFrom = behindFrom;
    await expect(load()).rejects.toMatchObject({ code: 'log.unavailable' });
    log.behindFrom = Infinity;
    expect((await load()).loaded).toEqual(honest);
  });
});
