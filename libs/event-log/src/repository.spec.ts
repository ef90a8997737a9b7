import { jest } from '@jest/globals';

import { executing, flip, forge, makeRepository, makeWriters, newRef, suspended } from './contract/fixtures.ts';
import type { LastOptions } from './event-log.ts';
import type { AnyEvent, Evolver } from './evolver.ts';
import { MemoryEventLog } from './memory-event-log.ts';

interface Seen {
  readonly data: object | null;
}

/** A state that shows what was folded, member by member. */
const seeing: Evolver<Seen, AnyEvent> = {
  kind: 'connection',
  stateVersion: 1,
  initialState: { data: null },
  evolve: (_state, { data }) => ({ data }),
};

/** A schema that knows one member, as reading an event does. */
const reasonOnly = (event: AnyEvent): AnyEvent => ({
  ...event,
  data: { reason: (event.data as { reason: unknown }).reason },
});

test('a decision is folded and stored as every reader will read it, and not as it was put', async () => {
  const repository = makeRepository(new MemoryEventLog(), makeWriters(), {
    evolver: seeing as never,
    upcast: reasonOnly,
  });
  const ref = newRef();
  const put = { ...suspended(), data: { unknown: true, reason: 'x' } };
  const { state, events } = await repository.execute(ref, () => [put as never], executing());
  expect(JSON.stringify(state)).toBe('{"data":{"reason":"x"}}');
  expect(events).toMatchObject([{ data: { reason: 'x' } }]);
  expect(JSON.stringify((await repository.replay(ref)).state)).toBe(JSON.stringify(state));
  for await (const { commit } of repository.history(ref)) expect(commit.events[0]?.data).toEqual({ reason: 'x' });
});

test('those who want the same state at the same time read it once, and whoever asks the leader asks for itself', async () => {
  const log = new MemoryEventLog();
  const writers = makeWriters();
  const ref = newRef();
  await makeRepository(log, writers).execute(ref, () => [suspended()], executing());
  const repository = makeRepository(log, writers);
  const reads = jest.spyOn(log, 'last');
  const loaded = await Promise.all(Array.from({ length: 100 }, () => repository.load(ref)));
  expect(new Set(loaded)).toEqual(new Set([expect.objectContaining({ revision: 1 })]));
  expect(reads).toHaveBeenCalledTimes(1);
  reads.mockClear();
  await Promise.all([repository.load(ref), repository.load(ref, { fromLeader: true })]);
  expect(reads).toHaveBeenCalledWith(repository.subjectOf(ref), { fromLeader: true });
  reads.mockRejectedValueOnce(new Error('gone'));
  await expect(Promise.all([repository.load(ref), repository.load(ref)])).rejects.toThrow('gone');
  expect((await repository.load(ref)).revision).toBe(1);
});

test('a state from the leader is read after it was asked for, however many ask at the same time', async () => {
  const log = new MemoryEventLog();
  const writers = makeWriters();
  const ref = newRef();
  const repository = makeRepository(log, writers);
  const write = () => makeRepository(log, writers).execute(ref, flip, executing());
  await write();
  const heads = leaderReads(log, repository.subjectOf(ref));
  const early = repository.load(ref, { fromLeader: true });
  await write();
  const late = Array.from({ length: 50 }, () => repository.load(ref, { fromLeader: true }));
  heads.go();
  expect((await early).revision).toBe(1);
  expect(new Set((await Promise.all(late)).map(({ revision }) => revision))).toEqual(new Set([2]));
  expect(heads.count).toBe(2);
  await write();
  expect((await repository.load(ref, { fromLeader: true })).revision).toBe(3);
});

test('a state in memory proves the next commit by one read of the head, and is not sent again where it is that', async () => {
  const log = new MemoryEventLog();
  const writers = makeWriters();
  const ref = newRef();
  const write = () => makeRepository(log, writers).execute(ref, flip, executing());
  for (let turn = 0; turn < 3; turn += 1) await write();
  const repository = makeRepository(log, writers, { cacheEntriesMax: 10 });
  await repository.load(ref);
  const reads = jest.spyOn(log, 'last');
  const fromLeader = async () => {
    reads.mockClear();
    const { revision } = await repository.load(ref, { fromLeader: true });
    const sent = (await (reads.mock.results[0]?.value as ReturnType<MemoryEventLog['last']>))?.position;
    return { revision, reads: reads.mock.calls.length, sent };
  };
  expect(await fromLeader()).toEqual({ revision: 3, reads: 1 });
  await write();
  expect(await fromLeader()).toEqual({ revision: 4, reads: 1, sent: 4 });
  expect(await fromLeader()).toEqual({ revision: 4, reads: 1 });
  log.put(forge(ref, writers.signers.revocation, { revision: 9 }));
  expect(await fromLeader()).toMatchObject({ revision: 4, sent: 5 });
  expect(await repository.load(ref, { fromLeader: true })).toMatchObject({ position: 4, expectedPosition: 5 });
  expect((await repository.execute(ref, flip, executing())).revision).toBe(5);
});

test('a commit that does not follow what is in memory is proven from the log', async () => {
  const log = new MemoryEventLog();
  const writers = makeWriters();
  const ref = newRef();
  const write = () => makeRepository(log, writers).execute(ref, flip, executing());
  await write();
  const repository = makeRepository(log, writers, { cacheEntriesMax: 10 });
  await repository.load(ref);
  await write();
  await write();
  expect(await repository.load(ref, { fromLeader: true })).toEqual(await repository.replay(ref));
  const { state } = await repository.load(ref);
  log.put(
    forge(ref, writers.signers.revocation, {
      revision: 4,
    }),
  );
  expect((await repository.load(ref, { fromLeader: true })).state).toEqual(state);
});

/** Counts reads of an aggregate's head, and holds the first one after it has looked. */
function leaderReads(log: MemoryEventLog, subject: string) {
  const gate = Promise.withResolvers<void>();
  const reads = { count: 0, go: () => gate.resolve() };
  const last = log.last.bind(log);
  jest.spyOn(log, 'last').mockImplementation(async (asked, options = {}) => {
    const head = await last(asked, options);
    if (asked !== subject || options.fromLeader !== true || options.untilPosition !== undefined) return head;
    reads.count += 1;
    if (reads.count === 1) await gate.promise;
    return head;
  });
  return reads;
}

/** A log whose replicas lack the newest message of each subject, and which can be slow. */
class LaggingLog extends MemoryEventLog {
  /** Between the reading of an answer and its arrival. */
  onTheWay: () => Promise<void> = () => Promise.resolve();

  override async last(subject: string, options: LastOptions = {}) {
    const isExact = options.fromLeader === true || options.untilPosition !== undefined;
    const newest = await super.last(subject, options);
    const answer = isExact ? newest : await super.last(subject, { untilPosition: (newest?.position ?? 1) - 1 });
    await this.onTheWay();
    return answer;
  }
}

describe('a state in memory', () => {
  /** A switch that was flipped twice by another process, and a repository with a follower. */
  async function world() {
    const log = new LaggingLog();
    const writers = makeWriters();
    const [other, own] = [makeRepository(log, writers), makeRepository(log, writers, { cacheEntriesMax: 10 })];
    const ref = newRef();
    const flipOnce = () => other.execute(ref, flip, executing());
    /** The follower shows what stands on the log since it began. */
    const show = async (fromPosition = 2) => {
      for await (const entry of other.history(ref, { fromPosition })) own.observe(entry);
    };
    await flipOnce();
    await flipOnce();
    return { log, writers, own, ref, flipOnce, show };
  }

  test('does not come from a replica, which may not have what the follower has shown already', async () => {
    const { own, ref, show } = await world();
    await show();
    expect((await own.load(ref)).state.changes).toBe(2);
    expect(own.peek(ref)?.state.changes).toBe(2);
  });

  test('is read again when the follower overtook it while it was read', async () => {
    const { log, own, ref, flipOnce, show } = await world();
    log.onTheWay = async () => {
      log.onTheWay = () => Promise.resolve();
      await flipOnce();
      await show();
    };
    expect((await own.load(ref)).state.changes).toBe(3);
    expect(own.peek(ref)?.state.changes).toBe(3);
  });

  test('is there before anybody asks for it, where the follower has shown its beginning', async () => {
    const { log, own, ref, flipOnce, show } = await world();
    const reads = jest.spyOn(log, 'last');
    await show(1);
    expect(own.peek(ref)).toMatchObject({ state: { changes: 2 }, revision: 2, position: 2, expectedPosition: 2 });
    expect(reads).not.toHaveBeenCalled();
    await flipOnce();
    await own.execute(ref, flip, executing());
    expect((await own.load(ref, { fromLeader: true })).state.changes).toBe(4);
  });

  test('does not begin with what only calls itself the beginning', async () => {
    const { log, writers, own, ref } = await world();
    const state = { suspended: true, changes: 1 };
    const { subject, payload, headers } = forge(ref, writers.signers.revocation, { revision: 1, state });
    for (const previousPosition of [undefined, 2]) {
      const position = log.put({ subject, payload, headers, previousPosition });
      const read = writers.reader.read({ subject, payload, headers, position, previousPosition, timeMs: 0 });
      if (read.kind === 'commit') own.observe(read.entry);
      expect({ kind: read.kind, known: own.peek(ref) }).toEqual({ kind: 'commit', known: undefined });
    }
    expect((await own.load(ref)).state.changes).toBe(2);
  });
});
