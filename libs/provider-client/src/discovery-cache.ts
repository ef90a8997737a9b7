import type { AuthorizationServer } from 'oauth4webapi';

const ttlMsDefault = 10 * 60_000;
const entriesMaxDefault = 500;

interface Entry {
  readonly metadata: Promise<AuthorizationServer>;
  readonly untilMs: number;
}

/** How long and how much {@link DiscoveryCache} keeps. */
export interface DiscoveryCacheOptions {
  readonly ttlMs?: number;
  readonly entriesMax?: number;
  readonly nowMs?: () => number;
}

/**
 * Authorization server metadata by issuer and place, kept for ten minutes: one for a process, shared by its clients.
 *
 * Callers that come while the metadata is under way share the one call; a failure is not kept.
 */
export class DiscoveryCache {
  readonly #entries = new Map<string, Entry>();
  readonly #ttlMs: number;
  readonly #entriesMax: number;
  readonly #nowMs: () => number;

  constructor({ ttlMs = ttlMsDefault, entriesMax = entriesMaxDefault, nowMs }: DiscoveryCacheOptions = {}) {
    this.#ttlMs = ttlMs;
    this.#entriesMax = entriesMax;
    this.#nowMs = nowMs ?? (() => performance.now());
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @internal */
  async get(key: string, fetchMetadata: () => Promise<AuthorizationServer>): Promise<AuthorizationServer> {
    const kept = this.#entries.get(key);
    if (kept !== undefined && this.#nowMs() < kept.untilMs) return kept.metadata;
    const metadata = fetchMetadata();
    this.#keep(key, { metadata, untilMs: this.#nowMs() + this.#ttlMs });
    try {
      return await metadata;
    } catch (error) {
      if (this.#entries.get(key)?.metadata === metadata) this.#entries.delete(key);
      throw error;
    }
  }

  #keep(key: string, entry: Entry): void {
    this.#entries.delete(key);
    const oldest = this.#entries.keys().next().value;
    if (this.#entries.size >= this.#entriesMax && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(key, entry);
  }
}
