import type { LogEntry } from './commit-reader.ts';
import { executing, flip, makeRepository, makeWriters, newRef, switchEvolver } from './contract/fixtures.ts';
import { currentVersionsOnly } from './loaded.ts';
import { LogVerifier } from './log-verifier.ts';
import { MemoryEventLog } from './memory-event-log.ts';
import { recentMax } from './standings.ts';

/** Four commits of one aggregate, of which the first is gone. */
async function behindTheCut(): Promise<LogEntry[]> {
  const [log, writers, ref] = [new MemoryEventLog(), makeWriters(), newRef()];
  const repository = makeRepository(log, writers);
  for (let turn = 0; turn < 4; turn += 1) await repository.execute(ref, flip, executing());
  const entries: LogEntry[] = [];
  for await (const message of log.read({ filter: '>', fromPosition: 2 })) {
    const read = writers.reader.read(message);
    if (read.kind === 'commit') entries.push(read.entry);
  }
  return entries;
}

const found = (entries: readonly LogEntry[], verifiedUpTo: number) => {
  const verifier = new LogVerifier({ evolverOf: () => switchEvolver, upcast: currentVersionsOnly });
  return entries.flatMap((entry) => (verifier.begin(entry, verifiedUpTo) ? [] : verifier.entry(entry)));
};

test('where the beginning was dropped, the first commit that stands is taken as it was verified then', async () => {
  const entries = await behindTheCut();
  expect(entries).toHaveLength(3);
  expect(found(entries, 2)).toEqual([]);
});

test('what follows it is checked as ever, also up to where everything was verified', async () => {
  const [first, , third] = await behindTheCut();
  const kinds = found([first, third] as LogEntry[], 9).map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(['revision', 'chain']));
});

test('a first commit behind what was verified is no beginning', async () => {
  const entries = await behindTheCut();
  expect(found(entries, 1).map(({ kind }) => kind)).toEqual(expect.arrayContaining(['revision', 'chain']));
});

test('a wrong state and a commit that is missing are found also where very many aggregates were met in between', async () => {
  const entries = await behindTheCut();
  const others = Array.from({ length: 2 * recentMax }, (_, one) => `${entries[0]?.subject}_${one}`);
  const verifier = new LogVerifier({ evolverOf: () => switchEvolver, upcast: currentVersionsOnly });
  const [first, second, third] = entries as [LogEntry, LogEntry, LogEntry];
  const crowd = () => {
    for (const subject of others) verifier.begin({ ...first, subject }, first.position);
  };
  const kinds = (entry: LogEntry) => verifier.entry(entry).map(({ kind }) => kind);
  expect(verifier.begin(first, first.position)).toBe(true);
  crowd();
  expect(verifier.begin(first, first.position)).toBe(false);
  const changed = { ...second, commit: { ...second.commit, state: { on: 'perhaps' } } };
  expect(kinds(changed)).toEqual(['state']);
  crowd();
  expect(kinds(second)).toEqual([]);
  crowd();
  expect(kinds(third)).toEqual([]);
  expect(verifier.aggregates).toBe(others.length + 1);
  expect(kinds({ ...first, subject: `${first.subject}_0` })).toEqual(expect.arrayContaining(['revision', 'chain']));
  verifier.close();
});
