import type { Clock } from '@postern/service';

import { paceLimits } from './pace-limits.ts';
import { Seats, type Seat } from './seats.ts';

/** A seat, and for how long it was waited for. */
export interface WaitedSeat extends Seat {
  readonly waitedMs: number;
}

/** When a due message was planned for; or somebody waits for what comes of it, and it goes before all that is planned. */
export type DueTime = number | 'awaited';

interface Waiting {
  /** Those with less go first; of what is awaited all have the same, and the first to come is the first to go. */
  readonly rank: number;
  readonly give: (seat: Seat | undefined) => void;
}

/** Those of one tenant, the next one first. */
interface Queue {
  readonly awaited: Waiting[];
  readonly planned: Waiting[];
}

export interface WaitingRoomOptions {
  readonly seats: Seats;
  /** For what is planned, and as many for what somebody waits for. */
  readonly placesMax: number;
  readonly clock: Pick<Clock, 'after' | 'monotonicMs'>;
  /** What a seat is taken for, in milliseconds. */
  readonly seatMs: () => number;
}

/**
 * Where due messages wait for a seat that will soon be left: so no seat waits for a message to come back, and few have to.
 *
 * Its places are shared between tenants as the seats are, and whoever would wait for long is not let in: another process may
 * have a seat, and the server waits for an acknowledgement. What was due earlier takes the place of what was due last, of the
 * same tenant: so in a queue that grows nothing is overtaken again and again. What somebody waits for has places of its own,
 * since it goes before all that is planned of its tenant, however much that is.
 */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  readonly #plannedPlaces: Seats;
  readonly #awaitedPlaces: Seats;
  /** By tenant. */
  readonly #waiting = new Map<string, Queue>();
  #isClosed = false;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
    this.#plannedPlaces = new Seats(options.placesMax);
    this.#awaitedPlaces = new Seats(options.placesMax);
  }

  /** How many wait. */
  get taken(): number {
    return this.#plannedPlaces.taken + this.#awaitedPlaces.taken;
  }

  /** Is there a place for it, or one that it may take? */
  isWelcome(tenantId: string, dueTime: DueTime): boolean {
    return this.#hasPlaceFor(tenantId, dueTime) || this.#latestAfter(tenantId, dueTime) !== undefined;
  }

  /** @returns undefined where this tenant has no place for it, it got no seat in time, or nobody waits any more. */
  async seat(tenantId: string, dueTime: DueTime): Promise<WaitedSeat | undefined> {
    const { clock } = this.#options;
    const place = this.#placeFor(tenantId, dueTime);
    if (place === undefined) return undefined;
    const sinceMs = clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<Seat | undefined>();
    const queue = this.#waiting.get(tenantId) ?? { awaited: [], planned: [] };
    const own = dueTime === 'awaited' ? queue.awaited : queue.planned;
    const callOff = clock.after(paceLimits.seatWaitMsMax, () => waiting.give(undefined));
    const waiting: Waiting = {
      rank: rankOf(dueTime),
      give: (seat) => {
        own.splice(own.indexOf(waiting), 1);
        if (queue.awaited.length + queue.planned.length === 0) this.#waiting.delete(tenantId);
        callOff();
        place.leave();
        resolve(seat);
      },
    };
    own.splice(placeAmong(own, waiting.rank), 0, waiting);
    this.#waiting.set(tenantId, queue);
    const seat = await promise;
    return seat && { leave: () => seat.leave(), waitedMs: clock.monotonicMs() - sinceMs };
  }

  #placeFor(tenantId: string, dueTime: DueTime): Seat | undefined {
    if (!this.#hasPlaceFor(tenantId, dueTime)) {
      const latest = this.#latestAfter(tenantId, dueTime);
      if (latest === undefined) return undefined;
      latest.give(undefined);
    }
    return this.#placesFor(dueTime).take(tenantId);
  }

  #hasPlaceFor(tenantId: string, dueTime: DueTime): boolean {
    if (this.#isClosed || !this.#placesFor(dueTime).hasOneFor(tenantId)) return false;
    const { seats, seatMs } = this.#options;
    const planned = dueTime === 'awaited' ? 0 : this.#plannedPlaces.heldBy(tenantId);
    const ahead = this.#awaitedPlaces.heldBy(tenantId) + planned + 1;
    return ahead * seatMs() <= paceLimits.seatWaitMsExpected * Math.max(1, seats.heldBy(tenantId));
  }

  /** The one that was due last, where that is after this. */
  #latestAfter(tenantId: string, dueTime: DueTime): Waiting | undefined {
    const latest = dueTime === 'awaited' ? undefined : this.#waiting.get(tenantId)?.planned.at(-1);
    return latest !== undefined && latest.rank > rankOf(dueTime) ? latest : undefined;
  }

  #placesFor(dueTime: DueTime): Seats {
    return dueTime === 'awaited' ? this.#awaitedPlaces : this.#plannedPlaces;
  }

  /** A seat was left: of those who wait, the tenant with the fewest gets it. */
  fill(): void {
    const { seats } = this.#options;
    for (;;) {
      const [tenantId, queue] = this.#fewest() ?? [];
      // Where the one with the fewest may have none, nobody may.
      const seat = tenantId === undefined ? undefined : seats.take(tenantId);
      if (seat === undefined || queue === undefined) return;
      const next = queue.awaited[0] ?? queue.planned[0];
      next?.give(seat);
    }
  }

  #fewest(): [string, Queue] | undefined {
    let fewest: [string, Queue] | undefined;
    let held = Infinity;
    for (const one of this.#waiting) {
      const own = this.#options.seats.heldBy(one[0]);
      if (own < held) [fewest, held] = [one, own];
    }
    return fewest;
  }

  /** Nobody waits any more. */
  close(): void {
    this.#isClosed = true;
    for (const { awaited, planned } of this.#waiting.values()) {
      for (const { give } of [...awaited, ...planned]) give(undefined);
    }
  }
}

const rankOf = (dueTime: DueTime) => (dueTime === 'awaited' ? 0 : dueTime);

/** Behind all of the same rank. */
function placeAmong(waiting: readonly Waiting[], rank: number): number {
  let [from, to] = [0, waiting.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((waiting[middle]?.rank ?? 0) <= rank) from = middle + 1;
    else to = middle;
  }
  return from;
}
