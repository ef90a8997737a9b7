import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { EntityManager } from '@mikro-orm/postgresql';
import { isPosternError, PosternError } from '@postern/contracts';
import { zero } from '@postern/crypto';
import type { KeyService, UnwrapResult } from '@postern/keyring';
import type { Row, TenantQuery } from '@postern/persistence';
import { LRUCache } from 'lru-cache';

import { CiphertextAlarm } from './ciphertext-alarm.ts';
import { holdQuery, holds, insertDataKey, isHeld } from './data-key-rows.ts';
import { GroupedStores } from './grouped-stores.ts';
import { SealedRows, type WrappedKey } from './sealed-rows.ts';
import { DataKeyTable } from './tables.ts';
import { TenantBatches } from './tenant-batches.ts';
import { VaultConfig } from './vault-config.ts';
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

/** What is stored sealed, and which of its owner's data keys sealed it. */
export interface SealedRow {
  readonly keyGeneration: number;
  /** The owner's data key as it stood beside it, where it was read with it. */
  readonly key?: WrappedKey | undefined;
}

/** How something sealed is read, and what is done with its data key. */
export interface Opening<Row extends SealedRow, T> {
  /** What it is, for the record of one that does not open. */
  readonly kind: string;
  /** Asked `again` when the data key was rotated since: then what was read before is old, cached or not. */
  readonly read: (again: boolean) => Promise<Row>;
  /** `read` gives the data key along with the row, wherever it has to ask the tables; otherwise both are fetched at once. */
  readonly readsKey?: boolean;
  /** Done when it returns: the key may be wiped at any later moment. */
  readonly open: (dataKey: Uint8Array, row: Row) => T;
}

/** How something is sealed, and where it goes. */
export interface Storing<Sealed, T> {
  /** Done when it returns: the key may be wiped at any later moment. */
  readonly seal: (dataKey: Uint8Array) => Sealed;
  /** Within the transaction that holds the data key to what it was. */
  readonly insert: (em: EntityManager, sealed: Sealed & SealedRow) => Promise<T>;
}

/** The same by one query, which by itself writes only under the data key that sealed. */
export interface StoringByQuery<Sealed> extends Pick<Storing<Sealed, never>, 'seal'> {
  readonly query: (sealed: Sealed & SealedRow) => TenantQuery;
}

/** A data key in memory, until it leaves that. */
export class HeldKey {
  readonly generation: number;
  #plaintext: Buffer | undefined;

  constructor(plaintext: Buffer, generation: number) {
    this.#plaintext = plaintext;
    this.generation = generation;
  }

  /**
   * @param use done when it returns: the key may be wiped at any later moment.
   * @returns undefined where the key was wiped, or does not open what it should: `DataKeys.use` says why, and tells the
   *   operator.
   */
  open<T>(use: (dataKey: Uint8Array) => T): T | undefined {
    if (this.#plaintext === undefined) return undefined;
    try {
      return use(this.#plaintext);
    } catch (error) {
      if (isPosternError(error) && error.code === 'vault.ciphertext_invalid') return undefined;
      throw error;
    }
  }

  /** Only of one that is in memory. */
  get plaintext(): Buffer {
    if (this.#plaintext === undefined) throw new Error('a data key was used after it was wiped');
    return this.#plaintext;
  }

  wipe(): void {
    if (this.#plaintext !== undefined) zero(this.#plaintext);
    this.#plaintext = undefined;
  }
}

/**
 * Data keys: wrapped in the table, unwrapped in memory for a bounded time, wiped when they leave it.
 *
 * An owner's data key is replaced while leases go on (docs/flows/keys.md). What is sealed names its generation, so a
 * ciphertext and a data key that do not belong together are told apart before anything is tried, and read again.
 */
@Injectable()
export class DataKeys implements OnApplicationShutdown {
  readonly #database: VaultDatabase;
  readonly #keyService: KeyService;
  readonly #rows: SealedRows;
  readonly #unwraps: TenantBatches<string, UnwrapResult>;
  readonly #stores: GroupedStores;
  readonly #alarm: CiphertextAlarm;
  readonly #loading = new Map<string, Promise<void>>();
  readonly #sweep: NodeJS.Timeout;
  readonly #cache: LRUCache<string, HeldKey>;
  #isKeyServiceWell = false;

  constructor(
    config: VaultConfig,
    database: VaultDatabase,
    rows: SealedRows,
    { keyService }: KeyServiceHolder,
    alarm: CiphertextAlarm,
  ) {
    this.#cache = new LRUCache<string, HeldKey>({
      max: vaultLimits.dataKeysCachedMax,
      ttl: config.dataKeyCachedMs,
      ttlResolution: vaultLimits.cacheClockMs,
      dispose: (held) => held.wipe(),
    });
    this.#database = database;
    this.#keyService = keyService;
    this.#rows = rows;
    this.#unwraps = new TenantBatches(async (tenantId, wrapped) => {
      try {
        const results = await keyService.unwrapMany({ tenantId, wrapped });
        this.#isKeyServiceWell = true;
        return results;
      } catch (error) {
        this.#isKeyServiceWell = false;
        throw error;
      }
    }, vaultLimits.unwrapBatches);
    this.#stores = new GroupedStores(database, vaultLimits.storeBatches);
    this.#alarm = alarm;
    this.#sweep = setInterval(() => this.#cache.purgeStale(), vaultLimits.cacheSweepIntervalMs).unref();
  }

  /**
   * Opens what was sealed under the owner's data key.
   *
   * @effect what does not open is recorded and counted.
   * @throws {PosternError} `vault.credential_missing` when the owner has no key; `vault.ciphertext_invalid`,
   *   `vault.key_service_unavailable`, `vault.database_unavailable`; whatever `read` throws.
   */
  async use<Row extends SealedRow, T>(owner: KeyOwner, opening: Opening<Row, T>): Promise<T> {
    try {
      return await this.#use(owner, opening);
    } catch (error) {
      if (isPosternError(error) && error.code === 'vault.ciphertext_invalid') {
        await this.#alarm.raise({ ...owner, kind: opening.kind });
      }
      throw error;
    }
  }

  /**
   * The data key that sealed this row, where it is in memory.
   *
   * @param name from {@link keyNameOf}
   */
  peek(name: string, row: SealedRow): HeldKey | undefined {
    const held = this.#cache.get(name);
    return held?.generation === row.keyGeneration ? held : undefined;
  }

  /**
   * Seals under the owner's data key, made when there is none, and stores: both under one data key. Rotated in between,
   * it is sealed again.
   *
   * @throws {PosternError} `connection.deleted` when the owner's key was shredded; whatever `insert` throws.
   */
  async store<Sealed extends object, T>(owner: KeyOwner, { seal, insert }: Storing<Sealed, T>): Promise<T> {
    return await this.#store(owner, seal, (sealed) =>
      this.#database.inTenant(owner.tenantId, async (em) =>
        (await holds(em, owner, sealed.keyGeneration)) ? { result: await insert(em, sealed) } : undefined,
      ),
    );
  }

  /** As {@link store}, in one round trip, which those share who store at the same time. @returns the rows of the query. */
  async storeByQuery<Sealed extends object>(owner: KeyOwner, { seal, query }: StoringByQuery<Sealed>): Promise<Row[]> {
    return await this.#store(owner, seal, async (sealed) => {
      const queries = [holdQuery(owner), query(sealed)];
      const [[key] = [], result = []] = await this.#stores.write(owner, queries);
      return isHeld(key, sealed.keyGeneration) ? { result } : undefined;
    });
  }

  async #store<Sealed extends object, T>(
    owner: KeyOwner,
    seal: (dataKey: Uint8Array) => Sealed,
    attemptWith: (sealed: Sealed & SealedRow) => Promise<{ readonly result: T } | undefined>,
  ): Promise<T> {
    for (let attempt = 1; attempt <= vaultLimits.storeAttemptsMax; attempt += 1) {
      const stored = await attemptWith(await this.#seal(owner, seal));
      if (stored !== undefined) return stored.result;
      this.forget(owner);
    }
    throw new PosternError('log.conflict', 'The data key was rotated again and again while this was stored.');
  }

  /** Is the owner's data key in memory, or on its way there? */
  has(owner: KeyOwner): boolean {
    const name = keyNameOf(owner);
    return this.#cache.has(name) || this.#loading.has(name);
  }

  /**
   * Begins to have a data key unwrapped that was just read, for whoever will use it. Where it cannot be had, `use` asks
   * once more, and says why.
   */
  loadAhead(owner: KeyOwner, key: WrappedKey | undefined): void {
    if (key === undefined || key.wrapped === null || this.has(owner)) return;
    this.#load(keyNameOf(owner), owner, key).catch(() => undefined);
  }

  /** Did the key service give an answer when it was last asked to unwrap something? */
  get isKeyServiceWell(): boolean {
    return this.#isKeyServiceWell;
  }

  forget(owner: KeyOwner): void {
    this.#cache.delete(keyNameOf(owner));
  }

  onApplicationShutdown(): void {
    clearInterval(this.#sweep);
    this.#cache.clear();
  }

  async #use<Row extends SealedRow, T>(owner: KeyOwner, { read, readsKey, open }: Opening<Row, T>): Promise<T> {
    const name = keyNameOf(owner);
    if (readsKey !== true && !this.has(owner)) this.#load(name, owner).catch(() => undefined);
    let row = await read(false);
    let loadedFor: Row | undefined;
    for (let attempt = 1; attempt <= vaultLimits.openAttemptsMax; attempt += 1) {
      const held = this.#cache.get(name);
      if (held?.generation === row.keyGeneration) return open(held.plaintext, row);
      if (held !== undefined && held.generation > row.keyGeneration) {
        row = await read(true);
        continue;
      }
      // Loaded after the row was read, and older than the row says: no transaction has left it so.
      if (held !== undefined && loadedFor === row) break;
      const loading = this.#loading.get(name);
      if (loading === undefined) loadedFor = row;
      await (loading ?? this.#load(name, owner, row.key));
    }
    throw new PosternError('vault.ciphertext_invalid', 'A ciphertext names another data key than its owner has.');
  }

  async #seal<Sealed extends object>(
    owner: KeyOwner,
    seal: (dataKey: Uint8Array) => Sealed,
  ): Promise<Sealed & SealedRow> {
    const name = keyNameOf(owner);
    if (!this.#cache.has(name)) await this.#make(owner);
    for (;;) {
      const held = this.#cache.get(name);
      if (held !== undefined) return { ...seal(held.plaintext), keyGeneration: held.generation };
      await (this.#loading.get(name) ?? this.#load(name, owner));
    }
  }

  #load(name: string, owner: KeyOwner, found?: WrappedKey): Promise<void> {
    const loading = this.#unwrap(owner, found)
      .then((held) => void this.#cache.set(name, held))
      .finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    return loading;
  }

  /** What is rewrapped while it is being unwrapped is read again: the version that wrapped it may be gone by then. */
  async #unwrap(owner: KeyOwner, found?: WrappedKey): Promise<HeldKey> {
    let tried: string | undefined;
    for (let key = found; ; key = undefined) {
      const { wrapped, generation } = unshredded(key ?? (await this.#rows.find(owner)).key);
      const result = await this.#unwraps.ask(owner.tenantId, wrapped);
      if (result.ok) return new HeldKey(result.plaintext, generation);
      if (result.error.code !== 'vault.ciphertext_invalid' || wrapped === tried) throw result.error;
      tried = wrapped;
    }
  }

  /** Asks the key service anew when it was found to wrap by a version that is about to go. */
  async #make(owner: KeyOwner): Promise<void> {
    const { tenantId, ownerId } = owner;
    for (let attempt = 1; attempt <= vaultLimits.storeAttemptsMax; attempt += 1) {
      const known = await this.#database.inTenant(tenantId, (em) => em.count(DataKeyTable, { tenantId, ownerId }));
      if (known > 0) return;
      const { plaintext, wrapped } = await this.#keyService.generateDataKey({ tenantId });
      zero(plaintext);
      if (await this.#database.inTenant(tenantId, (em) => insertDataKey(em, owner, wrapped))) return;
      await this.#keyService.status({ tenantId });
    }
    throw new PosternError('vault.key_service_unavailable', 'The key service wraps by a version that is retired.');
  }
}

function unshredded(key: WrappedKey | undefined): WrappedKey & { readonly wrapped: string } {
  if (key === undefined) throw new PosternError('vault.credential_missing', 'The vault holds nothing of this owner.');
  const { wrapped, generation } = key;
  if (wrapped === null) throw new PosternError('connection.deleted', 'The key of this owner was shredded.');
  return { wrapped, generation };
}

/** By which a data key is found in memory. */
export function keyNameOf({ tenantId, ownerId }: KeyOwner): string {
  return `${tenantId}/${ownerId}`;
}
