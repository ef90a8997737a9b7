import * as fc from 'fast-check';

import { refreshLimits } from '../refresh-limits.ts';
import { Seats, type Seat } from './seats.ts';

const seatsMax = refreshLimits.seatsMax;
const threeQuarters = 0.75 * seatsMax;

/** Takes seats for these tenants, one after the other; what each got, and the seats. */
function taken(tenants: readonly string[]) {
  const seats = new Seats(seatsMax);
  const got = tenants.map((tenant) => seats.take(tenant) !== undefined);
  return { seats, got };
}

test('one tenant alone gets three quarters of the seats, however long its queue is', () => {
  const { seats } = taken(Array<string>(100_000).fill('a'));
  expect(seats.heldBy('a')).toBe(threeQuarters);
});

test('who holds none gets the next seat, whoever waits before it', () => {
  const { got } = taken([...Array<string>(100_000).fill('a'), 'b']);
  expect(got.at(-1)).toBe(true);
});

test('two long queues share, whichever stands first, as soon as seats are left', () => {
  const seats = new Seats(seatsMax);
  const held: Seat[] = [];
  for (let seat = seats.take('a'); seat !== undefined; seat = seats.take('a')) held.push(seat);
  for (let turn = 0; turn < 1_000; turn += 1) {
    held.shift()?.leave();
    for (const tenant of ['a', 'a', 'b', 'b']) {
      const seat = seats.take(tenant);
      if (seat !== undefined) held.push(seat);
    }
  }
  expect(Math.abs(seats.heldBy('a') - seats.heldBy('b'))).toBeLessThanOrEqual(2);
  expect(seats.taken).toBeGreaterThanOrEqual(threeQuarters);
});

test('a seat is left once', () => {
  const seats = new Seats(seatsMax);
  const seat = seats.take('a');
  seats.take('a');
  seat?.leave();
  seat?.leave();
  expect([seats.taken, seats.heldBy('a'), seats.tenants]).toEqual([1, 1, 1]);
});

test('whatever happens: never more than there are, nobody forgotten, and a free seat goes to whoever has none', () => {
  const step = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const seats = new Seats(seatsMax);
      const held = new Map<string, Seat[]>();
      for (const [tenant, takes] of steps) {
        const own = held.get(tenant) ?? [];
        held.set(tenant, own);
        const free = seatsMax - seats.taken;
        const seat = takes ? seats.take(tenant) : undefined;
        if (takes && own.length === 0 && free > 0) expect(seat).toBeDefined();
        if (seat !== undefined) own.push(seat);
        if (!takes) own.pop()?.leave();
        expect(seats.heldBy(tenant)).toBe(own.length);
        expect(seats.taken).toBe([...held.values()].flat().length);
        expect(seats.taken).toBeLessThanOrEqual(seatsMax);
      }
      for (const seat of [...held.values()].flat()) seat.leave();
      expect([seats.taken, seats.tenants]).toEqual([0, 0]);
    }),
  );
});
