import { setTimeout as delay } from 'node:timers/promises';

import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import { openDatabase, type Database, type Lookup, type Row, type TenantQuery } from '@postern/persistence';
import {
  Logger,
  measureDatabase,
  Metrics,
  ReadinessRegistry,
  type AroundDatabase,
  type OnServiceReady,
} from '@postern/service';

import { vaultSchema, vaultTables } from './tables.ts';
import { VaultConfig } from './vault-config.ts';
import { vaultLimits } from './vault-limits.ts';

/** The vault's tables, one tenant at a time. */
@Injectable()
export class VaultDatabase implements OnServiceReady, OnApplicationShutdown {
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #around: AroundDatabase;
  readonly #stopping = new AbortController();
  #walled = false;

  constructor(config: VaultConfig, logger: Logger, readiness: ReadinessRegistry, metrics: Metrics) {
    this.#around = measureDatabase(metrics);
    this.#database = openDatabase({
      url: config.databaseUrl,
      entities: vaultTables,
      schema: vaultSchema,
      poolMax: config.databaseConnectionsMax,
      plansOnce: true,
      unavailableCode: 'vault.database_unavailable',
    });
    this.#logger = logger;
    readiness.add('database', () => (this.#walled ? true : 'not checked'));
  }

  /** @throws {PosternError} `vault.database_unavailable` */
  async inTenant<T>(tenantId: string, work: (em: EntityManager) => Promise<T>): Promise<T> {
    return await this.#around('transaction', () => this.#database.inTenant(tenantId, work));
  }

  /** Rows by their keys, in one statement. @throws {PosternError} `vault.database_unavailable` */
  async lookUp(tenantId: string, lookup: Lookup, ...values: readonly unknown[]): Promise<Row[]> {
    return await this.#around('read', () => this.#database.lookUpInTenant(tenantId, lookup, values));
  }

  /** Queries known beforehand in one transaction and one round trip. @throws {PosternError} `vault.database_unavailable` */
  async writeInTenant(tenantId: string, queries: readonly TenantQuery[]): Promise<Row[][]> {
    return await this.#around('write', () => this.#database.writeInTenant(tenantId, queries));
  }

  /** Waits for the database, then refuses to start behind a wall with a hole. */
  async onServiceReady(): Promise<void> {
    while (!this.#walled) {
      try {
        await this.#database.checkWalls();
        this.#walled = true;
      } catch (error) {
        if (!isPosternError(error) || error.row.retry !== 'later') throw error;
        this.#logger.warn('waiting for the database', { reason: error.message });
        await delay(vaultLimits.databaseRetryMs, undefined, { signal: this.#stopping.signal });
      }
    }
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopping.abort();
    await this.#database.close();
  }
}
