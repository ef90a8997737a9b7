import { createHash } from 'node:crypto';

import type { Random } from './random.ts';
import { Timeline } from './timeline.ts';

/** How often what goes wrong; all of it is over when a run settles. */
export interface Faults {
  /** A process dies, at any await. */
  readonly crash: number;
  /** A process stands still, for up to half a minute. */
  readonly stall: number;
  /** A message between two processes, or its answer, never arrives. */
  readonly loss: number;
  /** An append or read of the log fails, with or without its effect. */
  readonly log: number;
  /** A follower of the log falls behind by seconds, or has to connect again. */
  readonly feed: number;
  /** A read that a replica may answer is old. */
  readonly staleRead: number;
  /** A delivery of a queue comes twice, late, or its acknowledgement is lost. */
  readonly delivery: number;
  /** A schedule or due message is lost. */
  readonly schedule: number;
  /** A token call meets trouble of the provider's. */
  readonly provider: number;
}

export const noFaults: Faults = Object.freeze({
  crash: 0,
  stall: 0,
  loss: 0,
  log: 0,
  feed: 0,
  staleRead: 0,
  delivery: 0,
  schedule: 0,
  provider: 0,
});

/** What must not be, and was. */
export interface Violation {
  readonly invariant: string;
  readonly atMs: number;
  /** The connection it happened to; empty for the whole. */
  readonly connectionId: string;
  readonly text: string;
}

/** A line of the trace. */
interface TraceLine {
  readonly atMs: number;
  readonly connectionId: string;
  readonly text: string;
}

export interface WorldOptions {
  readonly startMs: number;
  readonly random: Random;
  readonly faults: Faults;
  /** Keeps every line, not only their hash. */
  readonly keepTrace: boolean;
}

/** Time, chance, trouble and the record of one simulation: everything in it asks here. */
export class World {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly lines: TraceLine[] = [];
  readonly violations: Violation[] = [];
  faults: Faults;
  readonly #keepTrace: boolean;
  readonly #hash = createHash('sha256');
  readonly #names = new Map<string, string>();

  constructor({ startMs, random, faults, keepTrace }: WorldOptions) {
    this.timeline = new Timeline(startMs);
    this.random = random;
    this.faults = faults;
    this.#keepTrace = keepTrace;
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  /** Does this happen now? */
  strikes(fault: keyof Faults): boolean {
    return this.random.happens(this.faults[fault]);
  }

  /** Ids that are made on the way come from the machine's chance: here they get names by their order. */
  nameOf(id: string): string {
    const known = this.#names.get(id);
    if (known !== undefined) return known;
    const name = `${id.slice(0, 3)}#${this.#names.size + 1}`;
    this.#names.set(id, name);
    return name;
  }

  trace(connectionId: string, text: string): void {
    this.#hash.update(`${this.nowMs} ${connectionId} ${text}\n`);
    if (this.#keepTrace) this.lines.push({ atMs: this.nowMs, connectionId, text });
  }

  violate(invariant: string, connectionId: string, text: string): void {
    this.trace(connectionId, `VIOLATION ${invariant}: ${text}`);
    this.violations.push({ invariant, atMs: this.nowMs, connectionId, text });
  }

  /** Of everything traced; to be asked once. */
  traceHash(): string {
    return this.#hash.digest('hex');
  }
}
