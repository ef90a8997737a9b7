import { newId } from '@postern/contracts';

import type { AppendRequest, StoredMessage } from './event-log.ts';
import { resolveAppend, resolveTogether, type AppendPolicy, type SendOutcome } from './resolve-append.ts';

const policy: AppendPolicy = { attemptsMax: 3, retryDelayMsMin: 1, retryDelayMsMax: 2 };
const request: AppendRequest = {
  subject: 'connection.1.ten.con',
  payload: new TextEncoder().encode('commit'),
  headers: {},
  messageId: newId('commit'),
  expectedPosition: 4,
};
const stored: SendOutcome = { kind: 'stored', position: 9 };
const conflict: SendOutcome = { kind: 'conflict' };
const duplicate: SendOutcome = { kind: 'duplicate' };
const silent: SendOutcome = { kind: 'silent', cause: new Error('silence') };
const unreachable: SendOutcome = { kind: 'unreachable', cause: new Error('nobody') };

const message = (more: Partial<StoredMessage> = {}): StoredMessage => ({
  subject: request.subject,
  position: 7,
  timeMs: 0,
  payload: request.payload,
  headers: { 'Nats-Msg-Id': request.messageId },
  ...more,
});
const ours = message();
const anothers = message({ headers: { 'Nats-Msg-Id': newId('commit') } });

/** Plays the answers in turn; what stands is asked after each but `stored` and `unreachable`. */
async function play(sends: SendOutcome[], standing: (StoredMessage | Error | undefined)[]) {
  let sent = 0;
  const result = await resolveAppend(request, {
    policy,
    send: () => Promise.resolve(sends[sent++] ?? silent),
    standing: () => {
      const next = standing.shift();
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  }).catch((error: { code?: string }) => error.code);
  return { result, sent };
}

describe('settling an append', () => {
  test('an acknowledged one is done', async () => {
    expect(await play([stored], [])).toEqual({ result: { position: 9, duplicate: false }, sent: 1 });
  });

  test.each([
    ['a conflict', conflict],
    ['silence', silent],
    ['a duplicate', duplicate],
  ])('after %s, ours standing there means it had succeeded', async (_what, outcome) => {
    expect(await play([outcome], [ours])).toEqual({ result: { position: 7, duplicate: true }, sent: 1 });
  });

  test.each([
    ['a conflict', conflict],
    ['silence', silent],
    ['a duplicate', duplicate],
  ])('after %s, another’s standing there means to decide again', async (_what, outcome) => {
    expect(await play([outcome], [anothers])).toEqual({ result: 'log.conflict', sent: 1 });
  });

  test('our id on other bytes is another’s', async () => {
    expect((await play([conflict], [message({ payload: new Uint8Array(1) })])).result).toBe('log.conflict');
  });

  test('nothing standing there may be in flight: the same commit is sent again', async () => {
    expect(await play([conflict, stored], [undefined])).toEqual({ result: { position: 9, duplicate: false }, sent: 2 });
    expect(await play([silent, conflict], [undefined, ours])).toEqual({
      result: { position: 7, duplicate: true },
      sent: 2,
    });
    expect((await play([silent, stored], [new Error('no leader')])).result).toEqual({ position: 9, duplicate: false });
  });

  test('silence to the end leaves the outcome unknown', async () => {
    expect(await play([silent, silent, silent], [])).toEqual({ result: 'log.outcome_unknown', sent: 3 });
    expect((await play([silent, unreachable, unreachable], [])).result).toBe('log.outcome_unknown');
    expect((await play([silent, conflict, conflict], [])).result).toBe('log.outcome_unknown');
  });

  test('what nobody ever received was certainly not stored', async () => {
    expect(await play([unreachable, unreachable, unreachable], [])).toEqual({ result: 'log.unavailable', sent: 3 });
  });

  test('a conflict with nothing to be seen to the end is a conflict', async () => {
    expect((await play([conflict, conflict, conflict], [])).result).toBe('log.conflict');
  });
});

describe('settling what goes together', () => {
  const second = { ...request, subject: 'connection.1.ten.other', messageId: newId('commit') };
  const ofSecond = message({ subject: second.subject, headers: { 'Nats-Msg-Id': second.messageId } });

  /** What stands on either subject, question by question. */
  async function playTogether(sends: SendOutcome[], standing: Record<string, (StoredMessage | undefined)[]>) {
    let sent = 0;
    const result = await resolveTogether([request, second], {
      policy,
      send: () => Promise.resolve(sends[sent++] ?? silent),
      standing: ({ subject }) => Promise.resolve(standing[subject]?.shift()),
    }).catch((error: { code?: string }) => error.code);
    return { result, sent };
  }

  test.each([
    ['a conflict', conflict],
    ['silence', silent],
  ])(
    'after %s, something else in the place of any is a conflict, and nothing is sent again',
    async (_what, outcome) => {
      const other = message({ subject: second.subject, headers: { 'Nats-Msg-Id': newId('commit') } });
      const played = await playTogether([outcome], { [second.subject]: [other] });
      expect(played).toEqual({ result: 'log.conflict', sent: 1 });
    },
  );

  test('what comes to stand between two questions is ours, not in the way', async () => {
    const standing = { [request.subject]: [undefined, ours, ours], [second.subject]: [ofSecond, ofSecond] };
    expect(await playTogether([silent, conflict], standing)).toEqual({ result: [7, 7], sent: 2 });
  });
});
