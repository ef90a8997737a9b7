import { paceLimits } from './pace-limits.ts';

/** The right of one due message to be worked on. */
export interface Seat {
  leave(): void;
}

/**
 * Who may be worked on, fair between tenants.
 *
 * A tenant gets a seat while it holds fewer than a multiple of those that are free. So one that is alone gets most of
 * them and never all; many share equally; and one that holds none gets the next free seat, whoever waits before it.
 * Nothing is counted but seats: no clock and no history can make it unfair.
 */
export class Seats {
  readonly #seatsMax: number;
  readonly #held = new Map<string, number>();
  #taken = 0;

  constructor(seatsMax: number) {
    this.#seatsMax = seatsMax;
  }

  get taken(): number {
    return this.#taken;
  }

  /** How many tenants hold a seat: memory is bounded by the seats. */
  get tenants(): number {
    return this.#held.size;
  }

  heldBy(tenantId: string): number {
    return this.#held.get(tenantId) ?? 0;
  }

  /** Would this tenant get one now? */
  hasOneFor(tenantId: string): boolean {
    const free = this.#seatsMax - this.#taken;
    return free > 0 && this.heldBy(tenantId) < free * paceLimits.seatsPerFreeSeat;
  }

  /** @returns undefined when this tenant holds its share already, or no seat is free. */
  take(tenantId: string): Seat | undefined {
    if (!this.hasOneFor(tenantId)) return undefined;
    this.#change(tenantId, 1);
    let left = false;
    return {
      leave: () => {
        if (!left) this.#change(tenantId, -1);
        left = true;
      },
    };
  }

  #change(tenantId: string, by: number): void {
    this.#taken += by;
    const own = this.heldBy(tenantId) + by;
    if (own === 0) this.#held.delete(tenantId);
    else this.#held.set(tenantId, own);
  }
}
