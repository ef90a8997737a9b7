import { newId } from '@postern/contracts';
import { Metrics } from '@postern/service';

import { refreshLimits } from '../refresh-limits.ts';
import { Pace } from './pace.ts';

/** What it costs to take a message and put it back; `npm run bench -- refresh` measures it (`fairness`). */
const deliveryMs = 0.25;
/** How long a refresh holds its seat. */
const seatMs = 100;

interface Message {
  readonly tenantId: string;
  readonly connectionId: string;
}

/**
 * One process and the server's queue on virtual time: what was put back and is ripe comes first, as nats-server
 * delivers it, then what has not been delivered yet, in its order.
 */
function workOff(queue: readonly Message[], until: (message: Message, doneCount: number) => boolean) {
  const clock = { monotonicMs: () => nowMs, random: () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647 };
  const logger = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const pace = new Pace({ providerCallsPerSecond: 10_000 } as never, clock as never, logger as never, new Metrics());
  const at = new Map<number, (() => void)[]>();
  const ripe: Message[] = [];
  const done = new Map<string, number>();
  let nowMs = 0;
  let told = 0;
  let next = 0;
  let seed = 1;
  let looks = 0;
  let doneCount = 0;
  const after = (delayMs: number, run: () => void) => {
    const ms = Math.floor(nowMs + delayMs) + 1;
    at.set(ms, [...(at.get(ms) ?? []), run]);
  };
  const advance = () => {
    nowMs += deliveryMs;
    for (; told <= nowMs; told += 1) {
      for (const run of at.get(told) ?? []) run();
      at.delete(told);
    }
  };
  while (nowMs < 600_000) {
    advance();
    const message = ripe.shift() ?? queue[next++];
    if (message === undefined) continue;
    looks += 1;
    const seat = pace.seat(message.tenantId);
    if (seat.kind === 'put_back') {
      after(seat.delayMs, () => ripe.push(message));
      continue;
    }
    if (until(message, doneCount)) return { nowMs, done, looks };
    after(seatMs, () => {
      doneCount += 1;
      done.set(message.tenantId, (done.get(message.tenantId) ?? 0) + 1);
      seat.leave();
    });
  }
  throw new Error('it never got a seat');
}

test('a hundred thousand due connections of one tenant delay the one of another by as long as they take to be passed over', () => {
  const [crowded, lonely] = [newId('tenant'), newId('tenant')];
  const crowd = Array.from({ length: 100_000 }, (_, index) => ({ tenantId: crowded, connectionId: `con_${index}` }));
  const one = { tenantId: lonely, connectionId: 'con_lonely' };
  const { nowMs, done } = workOff([...crowd, one], ({ tenantId }) => tenantId === lonely);
  const passedOverMs = crowd.length * deliveryMs;
  // What comes back meanwhile is looked at again, and must not make up the most of it.
  expect(nowMs).toBeLessThan(1.25 * passedOverMs);
  // Worked off in their order, it would have been the last after minutes.
  const inTheirOrderMs = (crowd.length / refreshLimits.workConcurrencyMax) * seatMs;
  expect(nowMs).toBeLessThan(inTheirOrderMs / 4);
  // Nobody stood still for it: the crowd had its three quarters of the seats all the time.
  const seatsOfTheCrowd = 0.75 * refreshLimits.workConcurrencyMax;
  expect(done.get(crowded)).toBeGreaterThan(0.9 * (nowMs / seatMs) * seatsOfTheCrowd);
});

test('a queue of one tenant that was passed over keeps its seats taken, and little of it comes in vain', () => {
  const tenantId = newId('tenant');
  const queue = Array.from({ length: 6_000 }, (_, index) => ({ tenantId, connectionId: `con_${index}` }));
  const { nowMs, done, looks } = workOff(queue, (_message, doneCount) => doneCount >= 0.9 * queue.length);
  const doneCount = done.get(tenantId) ?? 0;
  expect(doneCount * seatMs).toBeGreaterThan(0.9 * nowMs * 0.75 * refreshLimits.workConcurrencyMax);
  expect(looks).toBeLessThan(2.75 * doneCount);
});
