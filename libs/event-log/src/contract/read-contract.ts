import assert from 'node:assert/strict';

import { newId, subjects } from '@postern/contracts';

import { subjectOf } from '../aggregate.ts';
import { bytes, collect, testGlobals, text, type LogUnderTest } from './harness.ts';

/** Stores six messages of one tenant, two aggregates in turn. */
async function sixMessages({ log }: LogUnderTest) {
  const tenantId = newId('tenant');
  const [a, b] = ['connection', 'connection'].map(() =>
    subjectOf({ tenantId, kind: 'connection', id: newId('connection') }),
  ) as [string, string];
  const positions: number[] = [];
  const last = new Map<string, number>();
  for (let index = 0; index < 6; index += 1) {
    const subject = index % 2 === 0 ? a : b;
    const expectedPosition = last.get(subject) ?? 0;
    const payload = bytes(String(index));
    const { position } = await log.append({
      subject,
      expectedPosition,
      payload,
      headers: {},
      messageId: newId('commit'),
    });
    last.set(subject, position);
    positions.push(position);
  }
  return { filter: subjects.connectionsOfTenant(tenantId), a, b, positions };
}

/** Reading: everything, in order, to the head as of the call. */
export function readContract(sut: () => LogUnderTest): void {
  const { test } = testGlobals();
  const contents = async (request: Parameters<LogUnderTest['log']['read']>[0]) =>
    (await collect(sut().log.read(request))).map(({ payload }) => text(payload));

  test('a replay gives every message once and in order', async () => {
    const { filter, a, positions } = await sixMessages(sut());
    assert.deepEqual(await contents({ filter }), ['0', '1', '2', '3', '4', '5']);
    assert.deepEqual(await contents({ filter: a }), ['0', '2', '4']);
    const read = await collect(sut().log.read({ filter }));
    assert.deepEqual(
      read.map(({ position }) => position),
      positions,
    );
  });

  test('a replay begins and ends where it was told', async () => {
    const { filter, b, positions } = await sixMessages(sut());
    const [, fromPosition = 0, , , untilPosition = 0] = positions;
    assert.deepEqual(await contents({ filter, fromPosition, untilPosition }), ['1', '2', '3', '4']);
    assert.deepEqual(await contents({ filter: b, fromPosition, untilPosition }), ['1', '3']);
    assert.deepEqual(await contents({ filter: b, fromPosition: (positions[5] ?? 0) + 1 }), []);
    assert.deepEqual(await contents({ filter, sinceMs: Date.now() + 3_600_000 }), []);
  });

  test('the last message of each subject is enough for a directory', async () => {
    const { filter } = await sixMessages(sut());
    assert.deepEqual(await contents({ filter, lastPerSubject: true }), ['4', '5']);
  });

  test('a subject without messages reads as empty', async () => {
    const subject = subjectOf({ tenantId: newId('tenant'), kind: 'connection', id: newId('connection') });
    assert.deepEqual(await contents({ filter: subject }), []);
    assert.deepEqual(await contents({ filter: `${subject.split('.').slice(0, 3).join('.')}.*` }), []);
    assert.equal(await sut().log.last(subject), undefined);
    assert.equal(await sut().log.last(subject, { fromLeader: true }), undefined);
    assert.equal(await sut().log.head(subject), 0);
    assert.equal(await sut().log.at(1_000_000), undefined);
  });

  test('a message is found by its position and by its subject, the same either way', async () => {
    const { filter, b, positions } = await sixMessages(sut());
    const last = await sut().log.last(b, { fromLeader: true });
    assert.ok(last !== undefined);
    assert.equal(last.position, positions[5]);
    assert.deepEqual(await sut().log.last(b), last);
    assert.deepEqual(await sut().log.at(positions[5] ?? 0), last);
    assert.equal(await sut().log.head(), positions[5]);
    assert.equal(await sut().log.head(filter), positions[5]);
    assert.deepEqual((await collect(sut().log.read({ filter: b }))).at(-1), last);
    assert.ok(Math.abs(last.timeMs - Date.now()) < 60_000);
  });

  test('the last message is told of only where it is newer than what is known, if so asked', async () => {
    const { a, b, positions } = await sixMessages(sut());
    const newer = async (subject: string, newerThan: number) =>
      (await sut().log.last(subject, { fromLeader: true, newerThan }))?.position;
    const [first = 0, , , third = 0, fifth = 0, sixth = 0] = positions;
    assert.equal(await newer(b, third), sixth);
    assert.equal(await newer(b, 0), sixth);
    assert.equal(await newer(b, sixth - 1), sixth);
    assert.equal(await newer(b, sixth), undefined);
    assert.equal(await newer(b, sixth + 1_000), undefined);
    assert.equal(await newer(a, first), fifth);
    assert.equal(await newer(a, fifth), undefined);
    const strange = subjectOf({ tenantId: newId('tenant'), kind: 'connection', id: newId('connection') });
    assert.equal(await newer(strange, 0), undefined);
  });

  test('the last of each subject up to a position is what it is of one', async () => {
    const { a, b, positions } = await sixMessages(sut());
    const { log } = sut();
    const strange = subjectOf({ tenantId: newId('tenant'), kind: 'connection', id: newId('connection') });
    for (const position of [0, ...positions]) {
      const together = await log.lastOfEach([b, strange, a], position);
      for (const subject of [a, b, strange]) {
        assert.deepEqual(together.get(subject), await log.last(subject, { untilPosition: position }));
      }
    }
    assert.equal((await log.lastOfEach([a, b], positions[2] ?? 0)).get(a)?.position, positions[2]);
    assert.equal((await log.lastOfEach([], positions[5] ?? 0)).size, 0);
  });

  test('a message tells where the one before it on its subject stands, however it is read', async () => {
    const { filter, b, positions } = await sixMessages(sut());
    const { log } = sut();
    const ways = [
      await log.last(b),
      await log.last(b, { fromLeader: true }),
      await log.last(b, { untilPosition: positions[5] ?? 0 }),
      await log.at(positions[5] ?? 0),
      (await collect(log.read({ filter }))).at(-1),
      (await collect(log.read({ filter: b }))).at(-1),
    ];
    assert.deepEqual(
      ways.map((message) => message?.previousPosition),
      ways.map(() => positions[3]),
    );
    assert.equal((await log.at(positions[1] ?? 0))?.previousPosition, 0);
  });
}
