import { PosternError } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { retryDelayMs, settleFailed, settleOnce } from './work-settlement.ts';

function message(deliveries = 1) {
  const calls: string[] = [];
  const made = {
    subject: 'refresh.due.a.b',
    position: 1,
    headers: {},
    deliveries,
    json: () => ({}),
    working: () => void calls.push('working'),
    ack: async () => void calls.push('ack'),
    nak: (delayMs?: number) => void calls.push(`nak ${delayMs}`),
    passOver: (delayMs: number) => void calls.push(`passed over for ${delayMs}`),
    term: (reason: string) => void calls.push(`term ${reason}`),
  } as unknown as WorkMessage;
  return { made, calls };
}

describe('the fate of a message whose handling failed', () => {
  test.each([
    [new PosternError('connection.revoked', 'x'), 'term connection.revoked'],
    [new PosternError('log.unavailable', 'x'), 'nak 500'],
    [new PosternError('log.conflict', 'x'), 'nak 500'],
    [new PosternError('provider.unreachable', 'x', { details: { retry_after_s: 7 } }), 'nak 7000'],
    [new TypeError('a bug'), 'nak 500'],
    ['not even an error', 'nak 500'],
  ])('%p: %s', async (error, fate) => {
    const { made, calls } = message();
    await settleFailed(made, error);
    expect(calls).toEqual([fate]);
  });

  test('waits twice as long each time, up to a minute', () => {
    expect([1, 2, 3, 8, 60].map((deliveries) => retryDelayMs(deliveries))).toEqual([500, 1_000, 2_000, 60_000, 60_000]);
  });

  test('is decided once, by whoever comes first', async () => {
    const { made, calls } = message();
    const once = settleOnce(made);
    once.working();
    expect(once.settled).toBe(false);
    once.passOver(5);
    once.nak(6);
    await once.ack();
    once.term('late');
    expect(once.settled).toBe(true);
    expect(calls).toEqual(['working', 'passed over for 5']);
  });
});
