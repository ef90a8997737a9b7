import assert from 'node:assert/strict';

import { newId, subjects } from '@postern/contracts';

import type { LogEntry } from '../commit-reader.ts';
import type { EventLog } from '../event-log.ts';
import { Follower, type FollowerOptions } from '../follower.ts';
import { DirectoryFollower, StateView } from '../state-view.ts';
import {
  executing,
  flip,
  forge,
  makeRepository,
  makeWriters,
  newRef,
  switchEvolver,
  type Writers,
} from './fixtures.ts';
import { foreignMessages } from './foreign-messages.ts';
import { codeOf, testGlobals, type LogUnderTest } from './harness.ts';

const timeoutMs = 60_000;

/** Following: every commit once and in order, and knowing how fresh that is. */
export function followerContract(sut: () => LogUnderTest): void {
  const { test } = testGlobals();

  /** Follows the whole log from its end while `act` runs. */
  async function following(
    writers: Writers,
    act: (follower: Follower, seen: LogEntry[]) => Promise<void>,
    more: Partial<FollowerOptions> = {},
  ): Promise<void> {
    const seen: LogEntry[] = [];
    const follower = new Follower({
      log: sut().log,
      reader: writers.reader,
      filter: subjects.allConnections,
      from: 'end',
      onEntry: (entry) => seen.push(entry),
      proofIntervalMs: 25,
      ...more,
    });
    await follower.start();
    try {
      await act(follower, seen);
    } finally {
      await follower.stop();
    }
  }

  test('a follower sees every commit once and in order, and no append that was refused', async () => {
    const writers = makeWriters();
    const refs = [newRef(), newRef(), newRef()];
    await following(writers, async (follower, seen) => {
      const repositories = [sut().log, sut().otherLog].map((log) => makeRepository(log, writers));
      const turns = Array.from({ length: 30 }, async (_, index) => {
        const ref = refs[index % refs.length] ?? newRef();
        await repositories[index % 2]?.execute(ref, flip, executing()).catch(() => undefined);
      });
      await Promise.all(turns);
      await follower.waitForPosition(await sut().log.head(), { timeoutMs });
      const positions = seen.map(({ position }) => position);
      assert.deepEqual(
        positions,
        [...new Set(positions)].toSorted((left, right) => left - right),
      );
      for (const ref of refs) {
        const { state, revision } = await makeRepository(sut().log, writers).load(ref, { fromLeader: true });
        const mine = seen.filter(({ commit }) => commit.aggregateId === ref.id);
        assert.deepEqual(
          mine.map(({ commit }) => commit.revision),
          Array.from({ length: revision }, (_, index) => index + 1),
        );
        assert.deepEqual(mine.at(-1)?.commit.state, state);
      }
    });
  });

  test('a follower begins where it is told', async () => {
    const writers = makeWriters();
    const tenantId = newId('tenant');
    const refs = [0, 1].map(() => ({ tenantId, id: newId('connection') }));
    const repository = makeRepository(sut().log, writers);
    const positions: number[] = [];
    for (const ref of [...refs, ...refs]) positions.push((await repository.execute(ref, flip, executing())).position);
    const filter = subjects.connectionsOfTenant(tenantId);
    const from = async (start: FollowerOptions['from']) => {
      let result: number[] = [];
      await following(
        writers,
        async (follower, seen) => {
          await follower.waitForProof({ timeoutMs });
          result = seen.map(({ position }) => positions.indexOf(position));
        },
        { filter, from: start },
      );
      return result;
    };
    assert.deepEqual(await from('start'), [0, 1, 2, 3]);
    assert.deepEqual(await from({ position: positions[2] ?? 0 }), [2, 3]);
    assert.deepEqual(await from({ lastPerSubject: true }), [2, 3]);
    assert.deepEqual(await from({ sinceMs: Date.now() - 3_600_000 }), [0, 1, 2, 3]);
    assert.deepEqual(await from('end'), []);
  });

  test('a waiter wakes with the commit it waits for, and a late one is told so', async () => {
    const writers = makeWriters();
    await following(writers, async (follower) => {
      const ref = newRef();
      const waiting = follower.waitForEntry(({ commit }) => commit.aggregateId === ref.id, { timeoutMs });
      const { commitId, position } = await makeRepository(sut().log, writers).execute(ref, flip, executing());
      assert.equal((await waiting).commit.commitId, commitId);
      await follower.waitForPosition(position, { timeoutMs });
      assert.equal(await codeOf(follower.waitForPosition(position + 1, { timeoutMs: 20 })), 'bus.timeout');
      assert.equal(await codeOf(follower.waitForEntry(() => false, { timeoutMs: 20 })), 'bus.timeout');
      const giveUp = AbortSignal.abort(new Error('given up'));
      await assert.rejects(
        follower.waitForEntry(() => false, { timeoutMs, signal: giveUp }),
        /given up/,
      );
    });
  });

  test('a stopped follower lets nobody wait and is not fresh', async () => {
    let follower: Follower | undefined;
    let waiting: Promise<unknown> | undefined;
    await following(makeWriters(), async (running) => {
      follower = running;
      await running.waitForProof({ timeoutMs });
      waiting = codeOf(running.waitForEntry(() => false, { timeoutMs }));
    });
    assert.equal(await waiting, 'bus.unavailable');
    assert.equal(follower?.isFresh(), false);
  });

  test('foreign, damaged and future messages are counted and reported, and the feed goes on', async () => {
    const writers = makeWriters();
    const problems: string[] = [];
    const report: Partial<FollowerOptions> = { onProblem: ({ kind }) => problems.push(kind) };
    await following(
      writers,
      async (follower, seen) => {
        const ref = newRef();
        const repository = makeRepository(sut().log, writers);
        const { revocation } = writers.signers;
        const damaged = [{ type: 'ConnectionSuspended', version: 1, data: { reason: 7 } }];
        const future = [{ type: 'ConnectionTeleported', version: 1, data: {} }];
        for (const make of Object.values(foreignMessages)) {
          await sut().put({ ...make(ref, writers), subject: repository.subjectOf(ref) });
        }
        await sut().put(forge(ref, revocation, { events: damaged }));
        await sut().put(forge(ref, revocation, { events: future }));
        const { position } = await repository.execute(newRef(), flip, executing());
        await follower.waitForPosition(position, { timeoutMs });
        const foreign = Object.keys(foreignMessages).length;
        const { resets: _, ...counted } = follower.counters;
        assert.deepEqual(counted, { foreign, damaged: 1, future: 1 });
        assert.equal(problems.length, foreign + 2);
        assert.equal(seen.length, 1);
      },
      report,
    );
  });

  test('an owner that cannot apply a commit is not fresh any more', async () => {
    const writers = makeWriters();
    const failed = Promise.withResolvers<unknown>();
    const broken: Partial<FollowerOptions> = {
      onEntry: () => {
        throw new Error('cannot apply');
      },
      onFailure: failed.resolve,
    };
    await following(
      writers,
      async (follower) => {
        await makeRepository(sut().log, writers).execute(newRef(), flip, executing());
        assert.match(String(await failed.promise), /cannot apply/);
        assert.equal(follower.isFresh(), false);
      },
      broken,
    );
  });

  test('a cache fed by a follower serves the newest state, and a refusal decided on an old one is decided again', async () => {
    const writers = makeWriters();
    const ref = newRef();
    const cached = makeRepository(sut().log, writers, { cacheEntriesMax: 10 });
    const other = makeRepository(sut().otherLog, writers);
    await cached.execute(ref, flip, executing());
    await other.execute(ref, flip, executing());
    // Not fed: memory still says `suspended`, the log says `resumed`; so neither a repeat nor a refusal may come of it.
    assert.equal((await cached.load(ref)).state.suspended, true);
    const done = await cached.execute(ref, (state) => (state.suspended ? [] : flip(state)), executing());
    assert.deepEqual([done.appended, done.revision], [true, 3]);
    await following(
      writers,
      async (follower) => {
        const { position } = await other.execute(ref, flip, executing());
        await follower.waitForPosition(position, { timeoutMs });
        assert.deepEqual((await cached.load(ref)).state, { suspended: false, changes: 4 });
      },
      { onEntry: (entry) => cached.observe(entry) },
    );
  });

  test('a directory knows every aggregate, whatever stands last on its subject', async () => {
    const writers = makeWriters();
    const tenantId = newId('tenant');
    const [plain, intruded, stopped, later] = [0, 1, 2, 3].map(() => ({ tenantId, id: newId('connection') })) as [
      ReturnType<typeof newRef>,
      ReturnType<typeof newRef>,
      ReturnType<typeof newRef>,
      ReturnType<typeof newRef>,
    ];
    const repository = makeRepository(sut().log, writers);
    for (const ref of [plain, intruded, stopped]) await repository.execute(ref, flip, executing());
    await sut().put(forge(intruded, writers.signers.stranger));
    await sut().put(forge(stopped, writers.signers.revocation, { events: [{ type: 'Later', version: 1, data: {} }] }));
    const view = new StateView({ log: sut().log, reader: writers.reader, evolver: switchEvolver });
    const nextVersion = new StateView({
      log: sut().log,
      reader: writers.reader,
      evolver: { ...switchEvolver, stateVersion: 2 },
    });
    const directory = new DirectoryFollower({
      log: sut().log,
      reader: writers.reader,
      filter: subjects.connectionsOfTenant(tenantId),
      views: [view, nextVersion],
    });
    await directory.start();
    try {
      await directory.ready({ timeoutMs });
      for (const known of [view, nextVersion]) {
        assert.deepEqual(known.get(plain)?.state, { suspended: true, changes: 1 });
        assert.deepEqual(known.get(intruded)?.state, { suspended: true, changes: 1 });
        assert.equal(await codeOf(Promise.resolve().then(() => known.get(stopped))), 'log.version_unknown');
        assert.equal(known.get(later), undefined);
      }
      await repository.execute(later, flip, executing());
      await directory.ready({ timeoutMs });
      assert.equal(nextVersion.get(later)?.revision, 1);
      assert.equal([...view.values()].length, 3);
    } finally {
      await directory.stop();
    }
  });

  test('a message that never arrives is noticed within the limit: nobody serves without it, and then it is there', async () => {
    const writers = makeWriters();
    const staleMsMax = 300;
    const lossy = losesItsTail(sut().log);
    await following(
      writers,
      async (follower) => {
        await freshness(follower, true);
        lossy.lose();
        const { position } = await makeRepository(sut().otherLog, writers).execute(newRef(), flip, executing());
        const storedMs = performance.now();
        while (follower.position < position) {
          const sinceMs = performance.now() - storedMs;
          assert.ok(sinceMs < timeoutMs, 'the message should have been fetched');
          assert.ok(!follower.isFresh() || sinceMs < staleMsMax, `fresh ${sinceMs} ms after what it has not seen`);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        // A feed that is begun again, but slow to deliver, is taken for lost as well: more than once is no fault.
        assert.ok(follower.counters.resets > 0);
        await freshness(follower, true);
      },
      { log: lossy.log, staleMsMax },
    );
  });

  test('freshness ends when the server does, and returns with it; nothing is missed', async () => {
    const writers = makeWriters();
    let resets = 0;
    await following(
      writers,
      async (follower, seen) => {
        await freshness(follower, true);
        await sut().stopServing();
        await freshness(follower, false);
        assert.ok(follower.feedAgeMs() >= 300);
        await sut().resumeServing();
        const { position } = await eventually(() =>
          makeRepository(sut().otherLog, writers).execute(newRef(), flip, executing()),
        );
        await follower.waitForPosition(position, { timeoutMs });
        await freshness(follower, true);
        assert.equal(seen.at(-1)?.position, position);
        assert.ok(resets > 0);
        assert.equal(follower.counters.resets, resets);
      },
      {
        staleMsMax: 300,
        onReset: () => {
          resets += 1;
        },
      },
    );
  });
}

/** A log whose feed, once it is told to, loses what comes without a word; a feed begun after that is whole. */
function losesItsTail(log: EventLog): { readonly log: EventLog; readonly lose: () => void } {
  let losing = false;
  const lossy: EventLog = {
    append: (request) => log.append(request),
    appendTogether: (requests) => log.appendTogether(requests),
    last: (subject, options) => log.last(subject, options),
    lastOfEach: (subjects, position) => log.lastOfEach(subjects, position),
    at: (position) => log.at(position),
    read: (request) => log.read(request),
    head: (filter) => log.head(filter),
    beginning: () => log.beginning(),
    subscribe: (request) => {
      const whole = losing;
      return log.subscribe({
        ...request,
        onMessage: (message) => {
          if (whole || !losing) request.onMessage(message);
        },
      });
    },
  };
  return { log: lossy, lose: () => (losing = true) };
}

/** Waits until a follower is fresh, or is not. */
async function freshness(follower: Follower, wanted: boolean): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (follower.isFresh() !== wanted) {
    assert.ok(performance.now() < deadlineMs, `fresh should have become ${wanted}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Tries until a server that came back takes it. */
async function eventually<T>(act: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
  }
}
