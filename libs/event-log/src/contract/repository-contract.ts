import assert from 'node:assert/strict';

import { limits, PosternError, type StoredEvent } from '@postern/contracts';

import type { EventLog } from '../event-log.ts';
import {
  executing,
  flip,
  forge,
  makeRepository,
  makeWriters,
  newRef,
  suspended,
  switchEvolver,
  type Switch,
} from './fixtures.ts';
import { foreignMessages } from './foreign-messages.ts';
import { bytes, codeOf, collect, testGlobals, type LogUnderTest } from './harness.ts';

const suspendOnce = (state: Switch) => (state.suspended ? [] : [suspended()]);

/** Deciding on what stands there. */
export function repositoryContract(sut: () => LogUnderTest): void {
  const { test } = testGlobals();

  test('racing commands are all decided, with gapless revisions and a chain that holds', async () => {
    const writers = makeWriters();
    const repositories = [sut().log, sut().otherLog].map((log) =>
      makeRepository(log, writers, { conflictPolicy: { attemptsMax: 50, retryDelayMsMin: 2, retryDelayMsMax: 40 } }),
    );
    const ref = newRef();
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => await repositories[index % 2]?.execute(ref, flip, executing())),
    );
    const entries = await collect(makeRepository(sut().log, writers).history(ref));
    assert.deepEqual(
      entries.map(({ commit }) => commit.revision),
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    assert.deepEqual(
      entries.map(({ commit }) => commit.previousHash),
      [null, ...entries.slice(0, -1).map(({ hash }) => hash)],
    );
  });

  test('what is decided about several is written about all of them or none, and decided again after a race', async () => {
    const writers = makeWriters();
    const [repository, other] = [sut().log, sut().otherLog].map((log) => makeRepository(log, writers));
    assert.ok(repository !== undefined && other !== undefined);
    const refs = Array.from({ length: 4 }, newRef);
    await other.execute(refs[0] ?? newRef(), flip, executing());
    let raced = false;
    let decided = 0;
    const changes = refs.map((ref, index) => ({
      ref,
      decide: (state: Switch) => {
        decided += 1;
        return index === 3 ? [] : flip(state);
      },
    }));
    const racing = changes.map(({ ref, decide }, index) => ({ ref, decide, index }));
    const raceOnce = async () => {
      if (raced) return;
      raced = true;
      await other.execute(refs[1] ?? newRef(), flip, executing());
    };
    const { log } = sut();
    const raceFirst: EventLog['appendTogether'] = async (requests) => {
      await raceOnce();
      return await log.appendTogether(requests);
    };
    const slow = makeRepository(
      new Proxy(log, {
        get: (_log, name: keyof EventLog) => (name === 'appendTogether' ? raceFirst : log[name].bind(log)),
      }),
      writers,
    );
    const done = await slow.executeTogether(racing, executing());
    assert.equal(decided, 8);
    assert.deepEqual(
      done.map(({ revision, appended, state }) => [revision, appended, state]),
      [
        [2, true, { suspended: false, changes: 2 }],
        [2, true, { suspended: false, changes: 2 }],
        [1, true, { suspended: true, changes: 1 }],
        [0, false, { suspended: false, changes: 0 }],
      ],
    );
    for (const [index, ref] of refs.entries()) {
      assert.deepEqual((await repository.replay(ref)).state, done[index]?.state);
    }
    const refuse = [
      ...changes.slice(0, 2),
      {
        ref: newRef(),
        decide: () => {
          throw new PosternError('request.malformed', 'no');
        },
      },
    ];
    assert.equal(await codeOf(repository.executeTogether(refuse, executing())), 'request.malformed');
    assert.equal((await repository.load(refs[0] ?? newRef(), { fromLeader: true })).revision, 2);
  });

  test('the carried state is the fold of the events', async () => {
    const writers = makeWriters();
    const repository = makeRepository(sut().log, writers);
    const ref = newRef();
    for (let turn = 0; turn < 5; turn += 1) await repository.execute(ref, flip, executing());
    const loaded = await repository.load(ref, { fromLeader: true });
    assert.deepEqual(loaded.state, { suspended: true, changes: 5 });
    assert.deepEqual(await repository.replay(ref), loaded);
    assert.deepEqual(await repository.load(ref), loaded);
  });

  test('the state at a position is what a replay up to it gives', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const ref = newRef();
    const positions = [];
    for (let turn = 0; turn < 5; turn += 1) {
      positions.push((await repository.execute(ref, flip, executing())).position);
      await repository.execute(newRef(), flip, executing());
    }
    for (const position of positions.flatMap((one) => [one - 1, one])) {
      assert.deepEqual(await repository.at(ref, position), await repository.replay(ref, { untilPosition: position }));
    }
  });

  test('the states of several at a position are what they are one by one', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const refs = [newRef(), newRef(), newRef()];
    const positions = [];
    for (const ref of [...refs, ...refs]) positions.push((await repository.execute(ref, flip, executing())).position);
    for (const position of positions.slice(refs.length - 1)) {
      const singly = await Promise.all(refs.map((ref) => repository.at(ref, position)));
      assert.deepEqual(await repository.atEach(refs, position), singly);
    }
    assert.equal((await repository.atEach([newRef()], positions[0] ?? 0))[0]?.revision, 0);
  });

  test('a repeat appends nothing', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const ref = newRef();
    const first = await repository.execute(ref, suspendOnce, executing());
    const second = await repository.execute(ref, suspendOnce, executing());
    assert.equal(first.appended, true);
    assert.equal(second.appended, false);
    assert.equal(second.position, first.position);
    assert.equal(second.revision, 1);
  });

  test('a lost acknowledgement does not make a decision twice', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const ref = newRef();
    await repository.execute(ref, flip, executing());
    sut().loseNextAcknowledgement();
    const { revision } = await repository.execute(ref, flip, executing());
    assert.equal(revision, 2);
    assert.deepEqual((await repository.load(ref, { fromLeader: true })).state, { suspended: false, changes: 2 });
  });

  test('time never goes back within an aggregate', async () => {
    const writers = makeWriters();
    const ref = newRef();
    const ahead = Date.now() + 60_000;
    await makeRepository(sut().log, writers, { nowMs: () => ahead }).execute(ref, flip, executing());
    let seen = 0;
    await makeRepository(sut().log, writers).execute(
      ref,
      (state, { nowMs }) => {
        seen = nowMs;
        return flip(state);
      },
      executing(),
    );
    const { atMs } = await makeRepository(sut().log, writers).load(ref, { fromLeader: true });
    assert.equal(seen, ahead);
    assert.equal(atMs, ahead);
  });

  test('an unknown state version folds from the events', async () => {
    const writers = makeWriters();
    const ref = newRef();
    await makeRepository(sut().log, writers).execute(ref, flip, executing());
    await makeRepository(sut().log, writers).execute(ref, flip, executing());
    const evolver = {
      ...switchEvolver,
      stateVersion: 2,
      initialState: { suspended: false, changes: 100 },
    };
    const next = makeRepository(sut().log, writers, { evolver });
    const loaded = await next.load(ref, { fromLeader: true });
    assert.deepEqual(loaded.state, { suspended: false, changes: 102 });
    assert.equal(loaded.revision, 2);
    assert.equal((await next.execute(ref, flip, executing())).revision, 3);
  });

  test('an event of the future stops its aggregate, and nothing else', async () => {
    const writers = makeWriters();
    const repository = makeRepository(sut().log, writers);
    const futures: StoredEvent[] = [
      { type: 'ConnectionSuspended', version: 2, data: { reason: null } },
      { type: 'ConnectionTeleported', version: 1, data: {} },
    ];
    for (const event of futures) {
      const ref = newRef();
      await sut().put(forge(ref, writers.signers.revocation, { revision: 1, events: [event] }));
      assert.equal(await codeOf(repository.load(ref, { fromLeader: true })), 'log.version_unknown');
      assert.equal(await codeOf(repository.execute(ref, flip, executing())), 'log.version_unknown');
      assert.equal(await codeOf(collect(repository.history(ref))), 'log.version_unknown');
      assert.equal((await repository.execute(newRef(), flip, executing())).revision, 1);
    }
  });

  test('a damaged message is stepped over: the state stays, and the next append follows it', async () => {
    const writers = makeWriters();
    const repository = makeRepository(sut().log, writers);
    const ref = newRef();
    const { position } = await repository.execute(ref, flip, executing());
    const events = [{ type: 'ConnectionSuspended', version: 1, data: { reason: 7 } }];
    const at = await sut().put(forge(ref, writers.signers.revocation, { events }));
    const loaded = await repository.load(ref, { fromLeader: true });
    assert.deepEqual([loaded.revision, loaded.position, loaded.expectedPosition], [1, position, at]);
    assert.equal((await repository.execute(ref, flip, executing())).revision, 2);
  });

  for (const [what, make] of Object.entries(foreignMessages)) {
    test(`a foreign message (${what}) changes no state and stops nobody's appends`, async () => {
      const writers = makeWriters();
      const repository = makeRepository(sut().log, writers);
      const ref = newRef();
      await repository.execute(ref, flip, executing());
      const before = await repository.load(ref, { fromLeader: true });
      const at = await sut().put({ ...make(ref, writers), subject: repository.subjectOf(ref) });
      const after = await repository.load(ref, { fromLeader: true });
      assert.deepEqual(after, { ...before, expectedPosition: at });
      const done = await repository.execute(ref, flip, executing());
      assert.equal(done.revision, 2);
      assert.deepEqual(await repository.replay(ref), await repository.load(ref, { fromLeader: true }));
    });
  }

  test('a foreign message on an empty subject is no state', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const ref = newRef();
    await sut().put({ subject: repository.subjectOf(ref), payload: bytes('{}'), headers: {} });
    assert.equal((await repository.load(ref, { fromLeader: true })).revision, 0);
    assert.equal((await repository.execute(ref, flip, executing())).revision, 1);
  });

  test('a commit of its rightful writer that does not follow its predecessor is found by a replay', async () => {
    const writers = makeWriters();
    const repository = makeRepository(sut().log, writers);
    for (const more of [{ revision: 3 }, { revision: 2, previousHash: 'f'.repeat(64) }]) {
      const ref = newRef();
      await repository.execute(ref, flip, executing());
      const { hash } = await repository.load(ref, { fromLeader: true });
      await sut().put(forge(ref, writers.signers.revocation, { previousHash: hash, ...more }));
      assert.equal(await codeOf(repository.replay(ref)), 'log.message_damaged');
    }
  });

  test('as many events as the limit allows are one commit; one more is refused', async () => {
    const repository = makeRepository(sut().log, makeWriters());
    const events = (count: number) => () => Array.from({ length: count }, () => suspended());
    const ref = newRef();
    const { eventsPerCommitMax } = limits;
    assert.equal(await codeOf(repository.execute(ref, events(eventsPerCommitMax + 1), executing())), tooLarge);
    const done = await repository.execute(ref, events(eventsPerCommitMax), executing());
    assert.deepEqual([done.revision, done.state.changes], [1, eventsPerCommitMax]);
    assert.deepEqual(await repository.replay(ref), await repository.load(ref, { fromLeader: true }));
  });

  test('a state that outgrew the limit stops its aggregate with a code, not a crash, and nothing else', async () => {
    const grown = { ...switchEvolver.initialState, pad: 'x'.repeat(limits.commitBytesMax) };
    const evolver = { ...switchEvolver, evolve: (state: Switch) => ({ ...state, ...grown }) };
    const writers = makeWriters();
    const ref = newRef();
    await makeRepository(sut().log, writers).execute(ref, flip, executing());
    const repository = makeRepository(sut().log, writers, { evolver });
    assert.equal(await codeOf(repository.execute(ref, flip, executing())), tooLarge);
    const { revision } = await makeRepository(sut().log, writers).execute(ref, flip, executing());
    assert.equal(revision, 2);
  });
}

const tooLarge = 'log.commit_too_large';
