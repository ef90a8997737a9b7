import { paceLimits } from './pace-limits.ts';
import { Seats, type Seat } from './seats.ts';
import { WaitingRoom, type DueTime } from './waiting-room.ts';

/** A room of four places before four seats, all of which are taken, by these tenants. */
function crowded(tenants: readonly string[] = ['w', 'x', 'y', 'z'], seatMs = 1) {
  const seats = new Seats(4);
  const taken = tenants.map((tenantId) => seats.take(tenantId) as Seat);
  const timers = new Set<() => void>();
  const after = (ms: number, run: () => void) => {
    expect(ms).toBe(paceLimits.seatWaitMsMax);
    timers.add(run);
    return () => timers.delete(run);
  };
  let nowMs = 0;
  const clock = { after, monotonicMs: () => (nowMs += 7) };
  const room = new WaitingRoom({ seats, placesMax: 4, clock, seatMs: () => seatMs });
  const order: string[] = [];
  const come = async (tenantId: string, dueAtMs: DueTime = 0) => {
    const seat = await room.seat(tenantId, dueAtMs);
    const when = dueAtMs === 0 ? '' : `, ${typeof dueAtMs === 'number' ? `due at ${dueAtMs}` : dueAtMs}`;
    order.push(`${tenantId}${when}: ${seat === undefined ? 'none' : `a seat after ${seat.waitedMs}`}`);
    return seat;
  };
  const leave = async (which = 0) => {
    taken[which]?.leave();
    room.fill();
    for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
  };
  return { seats, room, timers, order, come, leave };
}

test('a seat that is left goes to the tenant with the fewest, of each to the first, and to one alone', async () => {
  const { seats, room, timers, order, come, leave } = crowded();
  for (const tenant of ['a', 'a', 'b']) void come(tenant);
  expect(room.taken).toBe(3);
  await leave(0);
  await leave(1);
  expect(room.taken).toBe(1);
  expect(order).toEqual(['a: a seat after 21', 'b: a seat after 14']);
  expect([seats.taken, timers.size]).toEqual([4, 1]);
});

test('what somebody waits for goes before what is planned, of its own tenant', async () => {
  const { order, come, leave } = crowded();
  void come('a');
  void come('a', 'awaited');
  void come('b');
  await leave(0);
  await leave(1);
  await leave(2);
  expect(order.map((one) => one.split(':')[0])).toEqual(['a, awaited', 'b', 'a']);
});

test('what somebody waits for has places of its own, and waits for none that is only planned', async () => {
  const secondsEach = paceLimits.seatWaitMsExpected / 3;
  const { room, come, leave, order } = crowded(['a', 'b', 'b'], secondsEach);
  for (let turn = 0; turn < 4; turn += 1) void come('a');
  expect([room.isWelcome('a', 0), room.isWelcome('a', 'awaited')]).toEqual([false, true]);
  for (let turn = 0; turn < 3; turn += 1) void come('a', 'awaited');
  expect(room.isWelcome('a', 'awaited')).toBe(false);
  await leave(1);
  expect(order.at(-1)).toMatch(/^a, awaited: a seat/);
});

test('what was due earlier goes first, and takes the place of what was due last, of its own tenant', async () => {
  const { room, order, come, leave } = crowded();
  for (const dueAtMs of [500, 300, 400]) void come('a', dueAtMs);
  expect([room.isWelcome('a', 500), room.isWelcome('a', 499)]).toEqual([false, true]);
  expect(await come('a', 500)).toBeUndefined();
  void come('a', 350);
  await leave(0);
  await leave(1);
  expect(order).toEqual([
    'a, due at 500: none',
    'a, due at 500: none',
    'a, due at 300: a seat after 21',
    'a, due at 350: a seat after 14',
  ]);
  void come('b', 999);
  expect(room.taken).toBe(2);
  void come('b', 100);
  expect(room.taken).toBe(3);
});

test('nobody waits for long, and who has gone is given no seat', async () => {
  const { seats, timers, order, come, leave } = crowded();
  const gone = come('a');
  for (const ring of timers) ring();
  expect(await gone).toBeUndefined();
  await leave();
  expect(order).toEqual(['a: none']);
  expect([seats.taken, timers.size]).toEqual([3, 0]);
});

test('its places are shared as the seats are', async () => {
  const { room, come } = crowded();
  for (let turn = 0; turn < 3; turn += 1) void come('a');
  expect([room.isWelcome('a', 0), room.isWelcome('b', 0)]).toEqual([false, true]);
  expect(await come('a')).toBeUndefined();
  void come('b');
  expect([room.isWelcome('b', 0), room.isWelcome('c', 0)]).toEqual([false, false]);
});

test('who may have no seat yet keeps the place, and keeps nobody else from one', async () => {
  const { order, come, leave } = crowded(['a', 'a', 'a', 'b']);
  for (const tenant of ['a', 'b']) void come(tenant);
  await leave(3);
  expect(order).toEqual(['b: a seat after 7']);
  await leave(0);
  expect(order).toEqual(['b: a seat after 7', 'a: a seat after 21']);
});

test('who would wait for long is not let in, by the time that a seat is taken for and the seats that the tenant has', () => {
  const secondsEach = paceLimits.seatWaitMsExpected / 2;
  const { room, come } = crowded(['a', 'b', 'b'], secondsEach);
  const welcome = () => ['a', 'b'].map((tenant) => room.isWelcome(tenant, 0));
  expect(welcome()).toEqual([true, true]);
  for (let turn = 0; turn < 2; turn += 1) for (const tenant of ['a', 'b']) void come(tenant);
  expect(room.isWelcome('a', 0)).toBe(false);
  expect(crowded(['a'], 2 * paceLimits.seatWaitMsExpected).room.isWelcome('a', 0)).toBe(false);
});

test('who still waits when it closes gets none, and nobody is let in any more', async () => {
  const { seats, room, timers, order, come, leave } = crowded();
  for (const tenant of ['a', 'b']) void come(tenant);
  room.close();
  await leave();
  expect([order, seats.taken, timers.size]).toEqual([['a: none', 'b: none'], 3, 0]);
  expect(room.isWelcome('a', 0)).toBe(false);
  expect(await come('a')).toBeUndefined();
});
