import type { StoredMessage } from '@postern/event-log';
import { headers, type Msg } from '@nats-io/nats-core';

import { lastOfEach, type SubjectSource } from './read-by-subject.ts';

const stored = (subject: string, position: number): StoredMessage => ({
  ...{ subject, position, timeMs: 0, payload: new Uint8Array(), headers: {} },
});

/** As a replica answers: with what it has come to. */
function answerOf({ subject, position }: StoredMessage): Msg {
  const told = headers();
  told.set('Nats-Subject', subject);
  told.set('Nats-Sequence', String(position));
  told.set('Nats-Time-Stamp', new Date(0).toISOString());
  return { subject: '_INBOX', data: Buffer.from('{}'), headers: told } as unknown as Msg;
}

/** A leader that holds a message of each subject at 1, 2, 3, and a replica that answers as told. */
function logWith(replica: readonly StoredMessage[]) {
  const held = [stored('a', 1), stored('b', 2), stored('c', 3)];
  const questions: string[][] = [];
  const requestMany = (_subject: string, question: string) => {
    const { multi_last: wanted } = JSON.parse(question) as { multi_last: string[] };
    questions.push(wanted);
    const answers = replica.filter(({ subject }) => wanted.includes(subject)).map(answerOf);
    return Promise.resolve(
      (async function* () {
        yield* answers;
      })(),
    );
  };
  const sourceOf = (subject: string) =>
    ({
      bus: { connection: { requestMany } },
      stream: 'CONNECTIONS',
      next: (position: number) =>
        Promise.resolve(held.find((one) => one.subject === subject && one.position >= position)),
    }) as unknown as SubjectSource;
  return { sourceOf, questions, atEnd: held[2] };
}

const positions = (found: ReadonlyMap<string, StoredMessage>) =>
  Object.fromEntries([...found].map(([subject, { position }]) => [subject, position]));

describe('the last of each subject up to a position', () => {
  test('is one question where the answer ends with what stands at that position', async () => {
    const { sourceOf, questions, atEnd } = logWith([stored('a', 1), stored('b', 2), stored('c', 3)]);
    expect(positions(await lastOfEach(sourceOf, { subjects: ['a', 'b'], untilPosition: 3, atEnd }))).toEqual({
      a: 1,
      b: 2,
    });
    expect(questions).toEqual([['a', 'b', 'c']]);
  });

  test.each([
    ['a replica that lags', [stored('a', 1)]],
    ['an answer that was cut short', [stored('a', 1), stored('b', 2)]],
    ['no answer', []],
  ])('is not believed of %s: the leader is asked of each', async (_, replica) => {
    const { sourceOf, atEnd } = logWith(replica);
    expect(positions(await lastOfEach(sourceOf, { subjects: ['a', 'b'], untilPosition: 3, atEnd }))).toEqual({
      a: 1,
      b: 2,
    });
  });

  test('is asked of each where nothing stands at that position', async () => {
    const { sourceOf, questions } = logWith([]);
    const found = await lastOfEach(sourceOf, { subjects: ['a', 'b'], untilPosition: 9, atEnd: undefined });
    expect(positions(found)).toEqual({ a: 1, b: 2 });
    expect(questions).toEqual([['a'], ['b']]);
  });
});
