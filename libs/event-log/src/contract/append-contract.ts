import assert from 'node:assert/strict';

import { limits, newId } from '@postern/contracts';

import { subjectOf } from '../aggregate.ts';
import type { AppendRequest } from '../event-log.ts';
import { messageBytes } from '../message-size.ts';
import { forge, makeWriters, newRef } from './fixtures.ts';
import { bytes, codeOf, collect, testGlobals, text, type LogUnderTest } from './harness.ts';

const newSubject = () => subjectOf({ ...newRef(), kind: 'connection' });

function request(subject: string, expectedPosition: number, content = 'x'): AppendRequest {
  return { subject, expectedPosition, payload: bytes(content), headers: { note: content }, messageId: newId('commit') };
}

/** Storing: one winner, never twice, whatever becomes of the acknowledgement. */
export function appendContract(sut: () => LogUnderTest): void {
  const { test } = testGlobals();

  test('an append that expects nothing creates, and only once', async () => {
    const { log } = sut();
    const subject = newSubject();
    const { position, duplicate } = await log.append(request(subject, 0, 'first'));
    assert.equal(duplicate, false);
    assert.equal(await codeOf(log.append(request(subject, 0))), 'log.conflict');
    const stored = await log.last(subject, { fromLeader: true });
    assert.equal(stored?.position, position);
    assert.equal(text(stored.payload), 'first');
    assert.equal(stored.headers['note'], 'first');
  });

  test('an append that expects an older position is refused and stores nothing', async () => {
    const { log } = sut();
    const subject = newSubject();
    const first = await log.append(request(subject, 0));
    const second = await log.append(request(subject, first.position, 'second'));
    assert.ok(second.position > first.position);
    assert.equal(await codeOf(log.append(request(subject, first.position))), 'log.conflict');
    assert.equal((await collect(log.read({ filter: subject }))).length, 2);
  });

  test('appends on other subjects are no conflict', async () => {
    const { log } = sut();
    const subject = newSubject();
    const { position } = await log.append(request(subject, 0));
    await log.append(request(newSubject(), 0));
    await log.append(request(subject, position));
  });

  test('of racers with the same expectation exactly one wins', async () => {
    const { log, otherLog } = sut();
    const subject = newSubject();
    let expected = 0;
    for (let round = 0; round < 10; round += 1) {
      const racers = Array.from({ length: 12 }, (_, index) =>
        (index % 2 === 0 ? log : otherLog).append(request(subject, expected)).catch(() => undefined),
      );
      const winners = (await Promise.all(racers)).filter((result) => result !== undefined);
      assert.equal(winners.length, 1);
      expected = winners[0]?.position ?? -1;
    }
    assert.equal((await collect(log.read({ filter: subject }))).length, 10);
  });

  test('a commit whose acknowledgement was lost succeeds, and is stored once', async () => {
    const { log } = sut();
    const subject = newSubject();
    sut().loseNextAcknowledgement();
    const { position, duplicate } = await log.append(request(subject, 0));
    assert.equal(duplicate, true);
    assert.deepEqual(
      (await collect(log.read({ filter: subject }))).map((message) => message.position),
      [position],
    );
  });

  test('a commit sent again is the same commit, also when others have followed', async () => {
    const { log } = sut();
    const subject = newSubject();
    const first = request(subject, 0);
    const { position } = await log.append(first);
    await log.append(request(subject, position));
    assert.deepEqual(await log.append(first), { position, duplicate: true });
    assert.equal((await collect(log.read({ filter: subject }))).length, 2);
  });

  test('the same id on other bytes is not the same commit', async () => {
    const { log } = sut();
    const subject = newSubject();
    const first = request(subject, 0);
    await log.append(first);
    assert.equal(await codeOf(log.append({ ...first, payload: bytes('forged') })), 'log.conflict');
  });

  test('a commit that just fits, with its headers, is stored and read; one byte more is refused before it is sent', async () => {
    const { log } = sut();
    const { signers, reader } = makeWriters();
    const ref = newRef();
    const padded = (pad: string) => forge(ref, signers.revocation, { revision: 1, state: { pad } });
    const room = limits.commitBytesMax - messageBytes(padded(''));
    const [fits, tooLarge] = [padded('x'.repeat(room)), padded('x'.repeat(room + 1))];
    assert.equal(await codeOf(log.append({ ...tooLarge, expectedPosition: 0 })), 'log.commit_too_large');
    assert.equal(await log.last(fits.subject, { fromLeader: true }), undefined);
    await log.append({ ...fits, expectedPosition: 0 });
    const stored = await log.last(fits.subject, { fromLeader: true });
    assert.equal(stored && reader.read(stored).kind, 'commit');
  });

  test('headers count as much as the payload', async () => {
    const { log } = sut();
    const large = request(newSubject(), 0);
    const headers = { note: 'x'.repeat(limits.commitBytesMax) };
    assert.equal(await codeOf(log.append({ ...large, headers })), 'log.commit_too_large');
    assert.equal(await log.last(large.subject), undefined);
  });

  const together = (count: number) => Array.from({ length: count }, (_, index) => request(newSubject(), 0, `${index}`));
  const standing = async (requests: readonly AppendRequest[]) =>
    await Promise.all(requests.map(({ subject }) => sut().log.last(subject, { fromLeader: true })));

  test('what is appended together stands in its order, with nothing between', async () => {
    const { log } = sut();
    const requests = together(limits.togetherMax);
    const positions = await log.appendTogether(requests);
    const [first = 0] = positions;
    assert.deepEqual(
      positions,
      requests.map((_, index) => first + index),
    );
    const stored = await standing(requests);
    assert.deepEqual(
      stored.map((message) => [message?.position, message && text(message.payload), message?.previousPosition]),
      requests.map((_, index) => [first + index, `${index}`, 0]),
    );
    const { position } = await log.append(request(requests[0]?.subject ?? '', first));
    assert.ok(position > (positions.at(-1) ?? 0));
  });

  test('of what is appended together nothing stands where one of the expectations does not hold', async () => {
    const { log } = sut();
    for (const taken of [0, 2, 4]) {
      const requests = together(5);
      const other = await log.append(request(requests[taken]?.subject ?? '', 0, 'another'));
      assert.equal(await codeOf(log.appendTogether(requests)), 'log.conflict');
      const stored = await standing(requests);
      assert.deepEqual(
        stored.map((message) => message?.position),
        requests.map((_, index) => (index === taken ? other.position : undefined)),
      );
    }
  });

  test('what was appended together is stored once, whatever became of the acknowledgement', async () => {
    const { log } = sut();
    const requests = together(5);
    sut().loseNextAcknowledgement();
    const positions = await log.appendTogether(requests);
    assert.deepEqual(await log.appendTogether(requests), positions);
    for (const { subject } of requests) assert.equal((await collect(log.read({ filter: subject }))).length, 1);
  });

  test('nothing is appended together twice on one subject, nor more than there may be, nor what is too large', async () => {
    const { log } = sut();
    const [one, other] = [request(newSubject(), 0), request(newSubject(), 0)];
    assert.equal(await codeOf(log.appendTogether([one, other, one])), 'request.malformed');
    assert.equal(await codeOf(log.appendTogether(together(limits.togetherMax + 1))), 'request.malformed');
    const headers = { note: 'x'.repeat(limits.commitBytesMax) };
    assert.equal(await codeOf(log.appendTogether([one, { ...other, headers }])), 'log.commit_too_large');
    assert.deepEqual(await standing([one, other]), [undefined, undefined]);
  });
}
