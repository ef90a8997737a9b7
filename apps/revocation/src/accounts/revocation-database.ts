import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { openDatabase, type Database, type Row, type TenantQuery } from '@postern/persistence';
import { measureDatabase, Metrics, type AroundDatabase } from '@postern/service';

import { RevocationConfig } from '../revocation-config.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { AccountTable, revocationSchema, sharedTables } from './tables.ts';

/**
 * The tables of `revocation`. Only signals need them: what a person orders is refused without a database, too, so this
 * is opened by the first use and nothing waits for it.
 */
@Injectable()
export class RevocationDatabase implements OnApplicationShutdown {
  readonly #database: Database;
  readonly #around: AroundDatabase;
  #walled: Promise<void> | undefined;

  constructor(config: RevocationConfig, metrics: Metrics) {
    this.#around = measureDatabase(metrics);
    this.#database = openDatabase({
      url: config.databaseUrl,
      entities: [AccountTable],
      schema: revocationSchema,
      poolMax: revocationLimits.databaseConnectionsMax,
      sharedTables,
      unavailableCode: 'signal.index_unavailable',
    });
  }

  /** @throws {PosternError} `signal.index_unavailable`, `config.invalid` for a wall with a hole */
  async inTenant<T>(tenantId: string, work: (em: EntityManager) => Promise<T>): Promise<T> {
    await this.#checked();
    return await this.#around('transaction', () => this.#database.inTenant(tenantId, work));
  }

  /** In one round trip. @throws {PosternError} as `inTenant` */
  async readInTenant(tenantId: string, query: TenantQuery): Promise<Row[]> {
    await this.#checked();
    return await this.#around('read', () => this.#database.readInTenant(tenantId, query));
  }

  /** @throws {PosternError} as `inTenant` */
  async inNoTenant<T>(work: (em: EntityManager) => Promise<T>): Promise<T> {
    await this.#checked();
    return await this.#around('transaction', () => this.#database.inNoTenant(work));
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#database.close();
  }

  /** Once; again after a failure. */
  async #checked(): Promise<void> {
    this.#walled ??= this.#database.checkWalls();
    try {
      await this.#walled;
    } catch (error) {
      this.#walled = undefined;
      throw error;
    }
  }
}
