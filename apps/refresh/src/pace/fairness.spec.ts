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
  readonly isAwaited?: boolean;
  /** It comes then, and not before; at once when absent. */
  readonly dueAtMs?: number;
}

const dueTimeOf = ({ isAwaited, dueAtMs = 0 }: Message) => (isAwaited === true ? 'awaited' : dueAtMs);

/**
 * One process and the server's queue on virtual time: what was put back and is ripe comes first, as nats-server
 * delivers it, then what has not been delivered yet, in its order.
 */
async function workOff(queue: readonly Message[], until: (message: Message, doneCount: number) => boolean) {
  const at = new Map<number, (() => void)[]>();
  const ripe: Message[] = [];
  const done = new Map<string, number>();
  let nowMs = 0;
  let told = 0;
  let next = 0;
  let seed = 1;
  let looks = 0;
  let doneCount = 0;
  let found = false;
  let awaitedSinceMs: number | undefined;
  let waitedMsMost = 0;
  const after = (delayMs: number, run: () => void) => {
    const ms = Math.floor(nowMs + delayMs) + 1;
    let isCalledOff = false;
    at.set(ms, [...(at.get(ms) ?? []), () => isCalledOff || run()]);
    return () => (isCalledOff = true);
  };
  const advance = () => {
    nowMs += deliveryMs;
    for (; told <= nowMs; told += 1) {
      for (const run of at.get(told) ?? []) run();
      at.delete(told);
    }
  };
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  const clock = { monotonicMs: () => nowMs, random, after };
  const logger = { error: () => undefined, warn: () => undefined, info: () => undefined };
  const pace = new Pace({ providerCallsPerSecond: 10_000 } as never, clock as never, logger as never, new Metrics());
  const work = async (message: Message) => {
    const seat = await pace.seat(message.tenantId, dueTimeOf(message));
    if (seat.kind === 'put_back') return after(seat.delayMs, () => ripe.push(message));
    found ||= until(message, doneCount);
    waitedMsMost = Math.max(waitedMsMost, nowMs - (message.dueAtMs ?? 0));
    return after(seatMs, () => {
      doneCount += 1;
      done.set(message.tenantId, (done.get(message.tenantId) ?? 0) + 1);
      seat.leave();
    });
  };
  while (!found) {
    if (nowMs > 600_000) throw new Error('it never got a seat');
    advance();
    const isNextDue = (queue[next]?.dueAtMs ?? 0) <= nowMs;
    const message = ripe.shift() ?? (isNextDue ? queue[next++] : undefined);
    if (message !== undefined) {
      looks += 1;
      if (message.isAwaited === true) awaitedSinceMs ??= nowMs;
      const delayMs = pace.passOverMs(message.tenantId, dueTimeOf(message));
      if (delayMs === undefined) void work(message);
      else after(delayMs, () => ripe.push(message));
    }
    // Whoever was given a seat meanwhile takes it.
    for (let turn = 0; turn < 4; turn += 1) await Promise.resolve();
  }
  return { nowMs, done, looks, waitedMsMost, awaitedSinceMs: awaitedSinceMs ?? nowMs };
}

test('a hundred thousand due connections of one tenant delay the one of another by as long as they take to be passed over', async () => {
  const [crowded, lonely] = [newId('tenant'), newId('tenant')];
  const crowd = Array.from({ length: 100_000 }, (_, index) => ({ tenantId: crowded, connectionId: `con_${index}` }));
  const one = { tenantId: lonely, connectionId: 'con_lonely' };
  const { nowMs, done } = await workOff([...crowd, one], ({ tenantId }) => tenantId === lonely);
  const passedOverMs = crowd.length * deliveryMs;
  // What comes back meanwhile is looked at again, and must not make up the most of it.
  expect(nowMs).toBeLessThan(1.25 * passedOverMs);
  // Worked off in their order, it would have been the last after minutes.
  const inTheirOrderMs = (crowd.length / refreshLimits.seatsMax) * seatMs;
  expect(nowMs).toBeLessThan(inTheirOrderMs / 4);
  // Nobody stood still for it: the crowd had its three quarters of the seats all the time.
  const seatsOfTheCrowd = 0.75 * refreshLimits.seatsMax;
  expect(done.get(crowded)).toBeGreaterThan(0.9 * (nowMs / seatMs) * seatsOfTheCrowd);
});

test('what somebody waits for is worked on within moments, whatever is due of its own tenant', async () => {
  const tenantId = newId('tenant');
  const queue = Array.from({ length: 20_000 }, (_, index) => ({ tenantId, connectionId: `con_${index}` }));
  const awaited = { tenantId, connectionId: 'con_awaited', isAwaited: true };
  const { nowMs, awaitedSinceMs } = await workOff([...queue, awaited], (message) => message === awaited);
  // Whoever sits leaves within this time.
  expect(nowMs - awaitedSinceMs).toBeLessThanOrEqual(seatMs);
});

test('a queue of one tenant that was passed over keeps its seats taken, and little of it comes in vain', async () => {
  const tenantId = newId('tenant');
  const queue = Array.from({ length: 6_000 }, (_, index) => ({ tenantId, connectionId: `con_${index}` }));
  const { nowMs, done, looks } = await workOff(queue, (_message, doneCount) => doneCount >= 0.9 * queue.length);
  const doneCount = done.get(tenantId) ?? 0;
  expect(doneCount * seatMs).toBeGreaterThan(0.9 * nowMs * 0.75 * refreshLimits.seatsMax);
  expect(looks).toBeLessThan(2.75 * doneCount);
});

test('of a queue that grows nothing is overtaken again and again: the last is as late as the queue is long, and little more', async () => {
  const tenantId = newId('tenant');
  const perS = (0.75 * refreshLimits.seatsMax * 1_000) / seatMs;
  // A tenth more than can be worked off, for five minutes.
  const count = Math.floor(1.1 * perS * 300);
  const queue = Array.from({ length: count }, (_, index) => ({
    tenantId,
    connectionId: `con_${index}`,
    dueAtMs: (index * 300_000) / count,
  }));
  const { waitedMsMost, looks } = await workOff(queue, (_message, doneCount) => doneCount >= 0.99 * count);
  const inTheirOrderMs = (count * 1_000) / perS - 300_000;
  expect(waitedMsMost).toBeLessThan(2.5 * inTheirOrderMs);
  expect(looks).toBeLessThan(2.5 * count);
});
