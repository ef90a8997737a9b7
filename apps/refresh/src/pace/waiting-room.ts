import type { Clock } from '@postern/service';

import { paceLimits } from './pace-limits.ts';
import { Seats, type Seat } from './seats.ts';

/** A seat, and for how long it was waited for. */
export interface WaitedSeat extends Seat {
  readonly waitedMs: number;
}

type Give = (seat: Seat | undefined) => void;

/** Those of one tenant; the first to come is the first to go. */
interface Queue {
  /** Somebody waits for what comes of them. */
  readonly awaited: Set<Give>;
  readonly planned: Set<Give>;
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
 * have a seat, and the server waits for an acknowledgement. What somebody waits for has places of its own, since it goes
 * before all that is planned of its tenant, however much that is.
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

  /** @param isAwaited somebody waits for what comes of it */
  hasPlaceFor(tenantId: string, isAwaited: boolean): boolean {
    if (this.#isClosed || !this.#placesFor(isAwaited).hasOneFor(tenantId)) return false;
    const { seats, seatMs } = this.#options;
    const ahead = this.#awaitedPlaces.heldBy(tenantId) + (isAwaited ? 0 : this.#plannedPlaces.heldBy(tenantId)) + 1;
    return ahead * seatMs() <= paceLimits.seatWaitMsExpected * Math.max(1, seats.heldBy(tenantId));
  }

  /**
   * @param isAwaited it goes before what is only planned, of the same tenant
   * @returns undefined where this tenant has no place, got no seat in time, or nobody waits any more.
   */
  async seat(tenantId: string, isAwaited: boolean): Promise<WaitedSeat | undefined> {
    const { clock } = this.#options;
    const place = this.hasPlaceFor(tenantId, isAwaited) ? this.#placesFor(isAwaited).take(tenantId) : undefined;
    if (place === undefined) return undefined;
    const sinceMs = clock.monotonicMs();
    const { promise, resolve } = Promise.withResolvers<Seat | undefined>();
    const queue = this.#waiting.get(tenantId) ?? { awaited: new Set(), planned: new Set() };
    const own = isAwaited ? queue.awaited : queue.planned;
    const callOff = clock.after(paceLimits.seatWaitMsMax, () => give(undefined));
    const give: Give = (seat) => {
      own.delete(give);
      if (queue.awaited.size + queue.planned.size === 0) this.#waiting.delete(tenantId);
      callOff();
      place.leave();
      resolve(seat);
    };
    own.add(give);
    this.#waiting.set(tenantId, queue);
    const seat = await promise;
    return seat && { leave: () => seat.leave(), waitedMs: clock.monotonicMs() - sinceMs };
  }

  #placesFor(isAwaited: boolean): Seats {
    return isAwaited ? this.#awaitedPlaces : this.#plannedPlaces;
  }

  /** A seat was left: of those who wait, the tenant with the fewest gets it. */
  fill(): void {
    const { seats } = this.#options;
    for (;;) {
      const [tenantId, queue] = this.#fewest() ?? [];
      // Where the one with the fewest may have none, nobody may.
      const seat = tenantId === undefined ? undefined : seats.take(tenantId);
      if (seat === undefined || queue === undefined) return;
      const [give] = queue.awaited.size > 0 ? queue.awaited : queue.planned;
      give?.(seat);
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
      for (const give of [...awaited, ...planned]) give(undefined);
    }
  }
}
