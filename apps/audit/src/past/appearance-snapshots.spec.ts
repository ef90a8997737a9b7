import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { newId, subjects } from '@postern/contracts';
import { generateSigningKey, sha256Hex } from '@postern/crypto';
import { connectionEvolver } from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, MemoryEventLog, type EventLog } from '@postern/event-log';

import { fillLog } from '../../../../libs/nats/src/spec-support/fill-log.ts';
import { AppearanceSnapshots } from './appearance-snapshots.ts';
import { Appearances } from './appearances.ts';

const root = mkdtempSync(join(tmpdir(), 'postern-snapshots-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const key = generateSigningKey();
const signer = commitSigner('authorization', key.privateJwk);
const verifier = commitVerifier({ writers: { authorization: [key.publicJwk] }, recipients: {} });
const tenantId = newId('tenant');
const positionsEach = 4;

/** Three connections of three commits each, one after the other: positions 1 to 9. */
async function aLog(): Promise<MemoryEventLog> {
  const log = new MemoryEventLog();
  for (let n = 0; n < 3; n += 1) {
    const sessionId = newId('session');
    const started = {
      ...{ sessionId, purpose: 'connect', platformId: newId('platform'), providerId: 'acme', endUserDigest: 'd' },
      ...{
        registrationId: newId('registration'),
        requestedScopes: [],
        returnUrl: 'https://p.example',
        expiresAtMs: 1e15,
      },
    };
    await fillLog({
      ...{ log, tenantId, evolver: connectionEvolver, ids: [newId('connection')], revisions: 3 },
      decide: () => ({
        signer,
        atMs: Date.now(),
        events: [{ type: 'AuthorizationStarted', version: 1, data: started }],
      }),
    });
  }
  return log;
}

/** An audit that starts: it counts the messages that it reads. */
async function started(log: EventLog, folder: string) {
  const appearances = new Appearances();
  const problems: string[] = [];
  let messages = 0;
  const whole: EventLog = {
    ...{ append: log.append.bind(log), head: log.head.bind(log), last: log.last.bind(log), at: log.at.bind(log) },
    appendTogether: log.appendTogether.bind(log),
    ...{ subscribe: log.subscribe.bind(log), beginning: log.beginning.bind(log) },
    lastOfEach: log.lastOfEach.bind(log),
    read: async function* (request) {
      for await (const message of log.read(request)) {
        messages += 1;
        yield message;
      }
    },
  };
  const reader = new CommitReader({ verifier });
  const onProblem = (problem: string) => void problems.push(problem);
  const snapshots = new AppearanceSnapshots({ folder, positionsEach, whole, reader, appearances, onProblem });
  await snapshots.recall(1);
  const watch = async () => {
    for await (const message of log.read({ filter: subjects.allConnections })) {
      const read = reader.read(message);
      if (read.kind !== 'commit') continue;
      snapshots.passed(read.entry);
      if (!snapshots.isRefuted) appearances.note(read.entry);
    }
    await snapshots.settled();
  };
  const known = (untilPosition = Infinity) =>
    [...appearances.between(tenantId, { after: 0, untilPosition })].map(({ position }) => position);
  return { snapshots, watch, known, problems, messagesRead: () => messages };
}

async function kept() {
  const folder = mkdtempSync(join(root, 'kept-'));
  const log = await aLog();
  const first = await started(log, folder);
  expect(first.snapshots.isRecalled).toBe(false);
  await first.watch();
  expect([first.known(), first.problems]).toEqual([[1, 4, 7], []]);
  return { folder, log };
}
const files = (folder: string) => readdirSync(folder).toSorted();
const pathOf = (folder: string, index: number) => join(folder, files(folder)[index] ?? '');

test('whoever starts recalls which connections there are, and reads only what came since', async () => {
  const { folder, log } = await kept();
  expect(files(folder)).toHaveLength(2);
  const again = await started(log, folder);
  expect([again.snapshots.isRecalled, again.known(), again.messagesRead()]).toEqual([true, [1, 4, 7], 0]);
  await again.snapshots.cover(9);
  expect([again.known(), again.messagesRead()]).toEqual([[1, 4, 7], 1]);
  await again.watch();
  expect([again.known(), again.problems]).toEqual([[1, 4, 7], []]);
});

test('what came since is read once, for all who ask, and not at all where the watch has been', async () => {
  const { folder, log } = await kept();
  rmSync(pathOf(folder, 1));
  const again = await started(log, folder);
  expect(again.known()).toEqual([1, 4]);
  await Promise.all([again.snapshots.cover(9), again.snapshots.cover(9), again.snapshots.cover(6)]);
  expect([again.known(), again.messagesRead()]).toEqual([[1, 4, 7], 5]);
  const third = await started(log, folder);
  third.snapshots.watched(9);
  await third.snapshots.cover(9);
  expect(third.messagesRead()).toBe(0);
});

test.each<[string, (text: string) => string]>([
  ['a byte was changed', (text) => text.replace('con_', 'con-')],
  ['it is of another version', (text) => rewritten(text, (kept) => ({ ...kept, version: 0 }))],
  ['it does not follow', (text) => rewritten(text, (kept) => ({ ...kept, from: 2 }))],
])('a snapshot is not recalled, nor what follows it, when %s', async (_why, change) => {
  const { folder, log } = await kept();
  writeFileSync(pathOf(folder, 0), change(readFileSync(pathOf(folder, 0), 'utf8')));
  const again = await started(log, folder);
  expect([again.snapshots.isRecalled, again.problems.length, files(folder)]).toEqual([false, 1, []]);
  await again.watch();
  expect([again.known(), files(folder).length]).toEqual([[1, 4, 7], 2]);
});

test('where nothing can be kept, that is said, and nobody is kept from anything', async () => {
  const { log } = await kept();
  const file = join(root, 'no-folder');
  writeFileSync(file, '');
  const again = await started(log, file);
  await again.watch();
  expect([again.snapshots.isRecalled, again.known()]).toEqual([false, [1, 4, 7]]);
  expect(again.problems.length).toBeGreaterThan(1);
});

test('nothing is recalled of another log', async () => {
  const { folder } = await kept();
  const again = await started(await aLog(), folder);
  expect([again.snapshots.isRecalled, again.known(), again.problems.length]).toEqual([false, [], 1]);
});

test('what was made to fit is refuted by the watch, said, and counts no more', async () => {
  const { folder, log } = await kept();
  const path = pathOf(folder, 0);
  writeFileSync(
    path,
    rewritten(readFileSync(path, 'utf8'), (segment) => ({ ...segment, rows: [] })),
  );
  const again = await started(log, folder);
  expect(again.known()).toEqual([7]);
  await again.watch();
  expect(again.problems).toEqual(['what was kept up to position 4 is not what the log tells']);
  again.snapshots.watched(9);
  await again.snapshots.cover(9);
  expect([again.known(), again.messagesRead()]).toEqual([[1, 4, 7], 9]);
  const third = await started(log, folder);
  expect([third.known(), third.problems]).toEqual([[1, 4, 7], []]);
});

function rewritten(text: string, change: (kept: Record<string, unknown>) => object): string {
  const body = JSON.stringify(change(JSON.parse(text.split('\n')[1] ?? '') as Record<string, unknown>));
  return `${sha256Hex(body)}\n${body}\n`;
}
