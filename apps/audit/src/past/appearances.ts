import { Injectable } from '@nestjs/common';
import type { LogEntry } from '@postern/event-log';

/** A connection, and where its first commit stands: which never changes, so that pages of connections go on for ever. */
export interface Appearance {
  readonly connectionId: string;
  readonly position: number;
}

/**
 * Which connections a tenant has, in the order in which they appeared: what no subject and no single message tells.
 * The watch over the log fills it as it reads; what they were at a moment, the log itself says.
 */
@Injectable()
export class Appearances {
  readonly #byTenant = new Map<string, Appearance[]>();
  readonly #known = new Set<string>();

  /** Takes note of the first commit of a connection that stands; one that goes on with what is known changes nothing. */
  note({ position, commit }: Pick<LogEntry, 'position' | 'commit'>): void {
    const { aggregate, aggregateId: connectionId, tenantId } = commit;
    if (aggregate === 'connection') this.add({ tenantId, connectionId, position });
  }

  /** The same of one that is told in other words; they come in the order of their positions. */
  add({ tenantId, connectionId, position }: Appearance & { readonly tenantId: string }): void {
    if (this.#known.has(connectionId)) return;
    this.#known.add(connectionId);
    const ofTenant = this.#byTenant.get(tenantId);
    if (ofTenant === undefined) this.#byTenant.set(tenantId, [{ connectionId, position }]);
    else ofTenant.push({ connectionId, position });
  }

  has(connectionId: string): boolean {
    return this.#known.has(connectionId);
  }

  /** As if nothing had ever appeared. */
  clear(): void {
    this.#byTenant.clear();
    this.#known.clear();
  }

  /** Puts before all what appeared in a part of the log that was dropped: each stands where it first did. */
  precede(earlier: Appearances): void {
    for (const [tenantId, before] of earlier.#byTenant) {
      const later = this.#byTenant.get(tenantId) ?? [];
      this.#byTenant.set(tenantId, [
        ...before,
        ...later.filter(({ connectionId }) => !earlier.#known.has(connectionId)),
      ]);
    }
    for (const connectionId of earlier.#known) this.#known.add(connectionId);
  }

  /** Those that appeared after the one position and up to the other. */
  *between(tenantId: string, { after, untilPosition }: { after: number; untilPosition: number }): Iterable<Appearance> {
    const ofTenant = this.#byTenant.get(tenantId) ?? [];
    let [low, high] = [0, ofTenant.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ofTenant[middle]?.position ?? 0) <= after) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < ofTenant.length; index += 1) {
      const appearance = ofTenant[index];
      if (appearance === undefined || appearance.position > untilPosition) return;
      yield appearance;
    }
  }
}
