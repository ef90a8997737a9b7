import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { PosternError } from '@postern/contracts';
import { zero } from '@postern/crypto';
import type { KeyService } from '@postern/keyring';
import { LRUCache } from 'lru-cache';

import { DataKeyTable } from './tables.ts';
import { VaultDatabase } from './vault-database.ts';
import { vaultLimits } from './vault-limits.ts';

/** Whose data key: a connection's or a client registration's. */
export interface KeyOwner {
  readonly tenantId: string;
  readonly ownerId: string;
}

/** The key service as Nest finds it. */
export class KeyServiceHolder {
  readonly keyService: KeyService;

  constructor(keyService: KeyService) {
    this.keyService = keyService;
  }
}

/** Data keys: wrapped in the table, unwrapped in memory for a bounded time, wiped when they leave it. */
@Injectable()
export class DataKeys implements OnApplicationShutdown {
  readonly #database: VaultDatabase;
  readonly #keyService: KeyService;
  readonly #loading = new Map<string, Promise<void>>();
  readonly #sweep: NodeJS.Timeout;
  readonly #cache = new LRUCache<string, Buffer>({
    max: vaultLimits.dataKeysCachedMax,
    ttl: vaultLimits.dataKeyCachedMsMax,
    ttlResolution: vaultLimits.cacheClockMs,
    dispose: zero,
  });

  constructor(database: VaultDatabase, holder: KeyServiceHolder) {
    this.#database = database;
    this.#keyService = holder.keyService;
    this.#sweep = setInterval(() => this.#cache.purgeStale(), vaultLimits.cacheSweepIntervalMs).unref();
  }

  /**
   * Lends the owner's data key to work that is done when it returns: the key may be wiped at any later moment.
   *
   * @throws {PosternError} `vault.credential_missing` when the owner has none; `vault.key_service_unavailable`,
   *   `vault.database_unavailable`.
   */
  async use<T>(owner: KeyOwner, work: (dataKey: Uint8Array) => T): Promise<T> {
    const name = nameOf(owner);
    for (;;) {
      const dataKey = this.#cache.get(name);
      if (dataKey !== undefined) return work(dataKey);
      await (this.#loading.get(name) ?? this.#load(name, owner));
    }
  }

  /** Brings the owner's key into memory; throws as `use` does. */
  async fetch(owner: KeyOwner): Promise<void> {
    await this.use(owner, () => undefined);
  }

  /** As `use`, at once, where the key is in memory; undefined where it is not. */
  peek<T>(owner: KeyOwner, work: (dataKey: Uint8Array) => T): T | undefined {
    const dataKey = this.#cache.get(nameOf(owner));
    return dataKey === undefined ? undefined : work(dataKey);
  }

  /**
   * As `use`, and makes a key when the owner has none yet.
   *
   * @throws {PosternError} `connection.deleted` when the owner's key was shredded.
   */
  async useOrMake<T>(owner: KeyOwner, work: (dataKey: Uint8Array) => T): Promise<T> {
    if (!this.#cache.has(nameOf(owner))) await this.#make(owner);
    return await this.use(owner, work);
  }

  /** Takes the key away for ever, within the caller's transaction; call `forget` once that has ended. */
  async shred(em: EntityManager, { tenantId, ownerId }: KeyOwner): Promise<void> {
    const row = { tenantId, ownerId, wrappedKey: null, createdAt: new Date() };
    await em.upsert(DataKeyTable, row, { onConflictAction: 'merge', onConflictMergeFields: ['wrappedKey'] });
  }

  forget(owner: KeyOwner): void {
    this.#cache.delete(nameOf(owner));
  }

  onApplicationShutdown(): void {
    clearInterval(this.#sweep);
    this.#cache.clear();
  }

  #load(name: string, owner: KeyOwner): Promise<void> {
    const loading = this.#unwrap(owner)
      .then((dataKey) => void this.#cache.set(name, dataKey))
      .finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    return loading;
  }

  async #unwrap({ tenantId, ownerId }: KeyOwner): Promise<Buffer> {
    const row = await this.#database.inTenant(tenantId, (em) => em.findOne(DataKeyTable, { tenantId, ownerId }));
    if (row === null) throw new PosternError('vault.credential_missing', 'The vault holds nothing of this owner.');
    const wrapped = row.wrappedKey ?? null;
    if (wrapped === null) throw new PosternError('connection.deleted', 'The key of this owner was shredded.');
    return await this.#keyService.unwrapDataKey({ tenantId, wrapped });
  }

  async #make({ tenantId, ownerId }: KeyOwner): Promise<void> {
    const known = await this.#database.inTenant(tenantId, (em) => em.count(DataKeyTable, { tenantId, ownerId }));
    if (known > 0) return;
    const { plaintext, wrapped } = await this.#keyService.generateDataKey({ tenantId });
    zero(plaintext);
    const row = { tenantId, ownerId, wrappedKey: wrapped, createdAt: new Date() };
    await this.#database.inTenant(tenantId, (em) => em.upsert(DataKeyTable, row, { onConflictAction: 'ignore' }));
  }
}

function nameOf({ tenantId, ownerId }: KeyOwner): string {
  return `${tenantId}/${ownerId}`;
}
