import {
  executing,
  flip,
  forge,
  makeRepository,
  makeWriters,
  newRef,
  switchEvolver,
  type Switch,
} from './contract/fixtures.ts';
import { subjectOf } from './aggregate.ts';
import { MemoryEventLog } from './memory-event-log.ts';
import { currentVersionsOnly } from './loaded.ts';
import { verifyLog } from './verify-log.ts';
import type { CommitSigner } from './signing.ts';

/** One aggregate with three honest commits by `revocation`, and a hand that holds its stolen key. */
async function world() {
  const log = new MemoryEventLog();
  const writers = makeWriters();
  const repository = makeRepository(log, writers);
  const ref = newRef();
  for (let turn = 0; turn < 3; turn += 1) await repository.execute(ref, flip, executing());
  const honest = await repository.load(ref, { fromLeader: true });
  return { log, writers, repository, ref, honest };
}

type World = Awaited<ReturnType<typeof world>>;

/** A commit that follows in revision and hash, is rightly signed, and carries a state of the thief's choice. */
function putForged({ log, ref, honest }: World, signer: CommitSigner, state: Switch, more: object = {}): void {
  const { payload, headers } = forge(ref, signer, {
    revision: honest.revision + 1,
    previousHash: honest.hash,
    state,
    ...more,
  });
  log.put({ subject: subjectOf({ ...ref, kind: 'connection' }), payload, headers });
}

const report = ({ log, writers }: World) =>
  verifyLog(log.read({ filter: '>' }), {
    reader: writers.reader,
    upcast: currentVersionsOnly,
    evolverOf: () => switchEvolver,
  });

const invented: Switch = { suspended: false, changes: 7 };

describe('a state that a stolen identity signed and its events do not give', () => {
  test('is not believed where it is decided on, from the leader, or by a repository with a cache', async () => {
    const place = await world();
    putForged(place, place.writers.signers.revocation, invented);
    const { repository, ref, honest, log, writers } = place;
    expect((await repository.load(ref, { fromLeader: true })).state).toEqual(honest.state);
    expect((await makeRepository(log, writers, { cacheEntriesMax: 10 }).load(ref)).state).toEqual(honest.state);
    let decidedOn: Switch | undefined;
    await repository.execute(ref, (state) => ((decidedOn = state), flip(state)), executing());
    expect(decidedOn).toEqual(honest.state);
  });

  test('stops nobody: the next honest commit continues the last one that holds', async () => {
    const place = await world();
    putForged(place, place.writers.signers.revocation, invented);
    const { repository, ref, honest } = place;
    const { revision } = await repository.execute(ref, flip, executing());
    expect(revision).toBe(honest.revision + 1);
    expect((await repository.load(ref, { fromLeader: true })).state.changes).toBe(honest.state.changes + 1);
  });

  test('is not laundered by a second forgery that follows from the first', async () => {
    const place = await world();
    const { log, ref, writers, honest, repository } = place;
    const first = forge(ref, writers.signers.revocation, {
      revision: honest.revision + 1,
      previousHash: honest.hash,
      state: invented,
    });
    const subject = subjectOf({ ...ref, kind: 'connection' });
    log.put({ subject, payload: first.payload, headers: first.headers });
    const second = forge(ref, writers.signers.revocation, {
      revision: honest.revision + 2,
      previousHash: first.hash,
      state: { suspended: true, changes: invented.changes + 1 },
    });
    log.put({ subject, payload: second.payload, headers: second.headers });
    expect((await repository.load(ref, { fromLeader: true })).state).toEqual(honest.state);
  });

  test('is named by its position, and the honest commits after it are not', async () => {
    const place = await world();
    putForged(place, place.writers.signers.revocation, invented);
    const { repository, ref } = place;
    await repository.execute(ref, flip, executing());
    await repository.execute(ref, flip, executing());
    expect((await report(place)).findings).toEqual([expect.objectContaining({ kind: 'state', position: 4 })]);
  });

  test('leaves memory alone, which goes on from the log', async () => {
    const place = await world();
    const { log, writers, ref, honest } = place;
    const cached = makeRepository(log, writers, { cacheEntriesMax: 10 });
    await cached.load(ref);
    putForged(place, writers.signers.revocation, invented);
    for await (const message of log.read({ filter: '>' })) {
      const read = writers.reader.read(message);
      if (read.kind === 'commit') cached.observe(read.entry);
    }
    expect((await cached.load(ref)).state).toEqual(honest.state);
  });
});

test('a forgery that breaks the chain is stepped over as well', async () => {
  const place = await world();
  putForged(place, place.writers.signers.revocation, invented, { previousHash: '0'.repeat(64) });
  const { repository, ref, honest } = place;
  await repository.execute(ref, flip, executing());
  expect((await repository.load(ref, { fromLeader: true })).state.changes).toBe(honest.state.changes + 1);
  expect((await report(place)).findings.map(({ position }) => position)).toEqual([4, 4]);
});

test('a message that is missing is named once, where the next one stands', async () => {
  const place = await world();
  const { repository, ref } = place;
  await repository.execute(ref, flip, executing());
  const kept = async function* (log: MemoryEventLog) {
    for await (const message of log.read({ filter: '>' })) if (message.position !== 2) yield message;
  };
  const { findings } = await verifyLog(kept(place.log), {
    reader: place.writers.reader,
    upcast: currentVersionsOnly,
    evolverOf: () => switchEvolver,
  });
  expect(new Set(findings.map(({ position }) => position))).toEqual(new Set([3]));
});
