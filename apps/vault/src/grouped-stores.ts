import type { Row, TenantQuery } from '@postern/persistence';

import type { KeyOwner } from './data-keys.ts';
import { TenantBatches, type BatchLimits } from './tenant-batches.ts';
import type { VaultDatabase } from './vault-database.ts';

/** What one owner stores: queries that stand or fall together. */
interface Store {
  readonly ownerId: string;
  readonly queries: readonly TenantQuery[];
}

type Stored = PromiseSettledResult<Row[][]>;

/**
 * Writes what owners of one tenant store at the same time in one transaction, one round trip and one sync of the disk.
 *
 * Nobody waits for a group to become large: what comes while one is under way makes the next. Where a group fails, each of
 * it is written by itself, so that what is wrong with one keeps no other back.
 */
export class GroupedStores {
  readonly #database: Pick<VaultDatabase, 'writeInTenant'>;
  readonly #batches: TenantBatches<Store, Stored>;

  constructor(database: Pick<VaultDatabase, 'writeInTenant'>, limits: BatchLimits) {
    this.#database = database;
    this.#batches = new TenantBatches((tenantId, stores) => this.#writeGroup(tenantId, stores), limits);
  }

  /** @returns the rows of each query. @throws as `VaultDatabase.writeInTenant` of these queries alone */
  async write({ tenantId, ownerId }: KeyOwner, queries: readonly TenantQuery[]): Promise<Row[][]> {
    const stored = await this.#batches.ask(tenantId, { ownerId, queries });
    if (stored.status === 'rejected') throw stored.reason;
    return stored.value;
  }

  async #writeGroup(tenantId: string, stores: readonly Store[]): Promise<readonly Stored[]> {
    if (stores.length > 1) {
      const written = await this.#writeTogether(tenantId, stores).catch(() => undefined);
      if (written !== undefined)
        return stores.map((store) => ({ status: 'fulfilled', value: written.get(store) ?? [] }));
    }
    return await Promise.allSettled(stores.map(({ queries }) => this.#database.writeInTenant(tenantId, queries)));
  }

  /** Every vault takes the owners' rows in one order, so that no two groups wait for each other. */
  async #writeTogether(tenantId: string, stores: readonly Store[]): Promise<ReadonlyMap<Store, Row[][]>> {
    const ordered = stores.toSorted((one, other) => (one.ownerId < other.ownerId ? -1 : 1));
    const rows = await this.#database.writeInTenant(
      tenantId,
      ordered.flatMap(({ queries }) => queries),
    );
    return new Map(ordered.map((store) => [store, rows.splice(0, store.queries.length)]));
  }
}
