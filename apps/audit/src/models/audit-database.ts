import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import {
  openDatabase,
  type CrossingTransaction,
  type Database,
  type Row,
  type TenantQuery,
} from '@postern/persistence';

import { AuditConfig } from '../audit-config.ts';
import { auditEntities, auditSchema, sharedTables } from './tables.ts';

/** Each model has one under way, a rebuild two, and people ask. */
const connectionsMax = 12;

/**
 * The tables of `audit`. What it answers from the log it answers without them, so they are opened by the first use and
 * the start waits for nothing.
 */
@Injectable()
export class AuditDatabase implements OnApplicationShutdown {
  readonly #database: Database | undefined;
  #walled: Promise<void> | undefined;

  constructor({ databaseUrl }: AuditConfig) {
    if (databaseUrl === undefined) return;
    this.#database = openDatabase({
      url: databaseUrl,
      entities: auditEntities,
      schema: auditSchema,
      poolMax: connectionsMax,
      sharedTables,
      unavailableCode: 'audit.database_unavailable',
    });
  }

  /** Was it named at all? */
  get isConfigured(): boolean {
    return this.#database !== undefined;
  }

  /** In one round trip. @throws {PosternError} `audit.database_unavailable` */
  async readInTenant(tenantId: string, query: TenantQuery): Promise<Row[]> {
    return await (await this.#checked()).readInTenant(tenantId, query);
  }

  /** @throws {PosternError} `audit.database_unavailable`, `config.invalid` for a wall with a hole */
  async acrossTenants<T>(work: (transaction: CrossingTransaction) => Promise<T>): Promise<T> {
    return await (await this.#checked()).acrossTenants(work);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.#database?.close();
  }

  /** Its walls are looked at once; again after a failure. */
  async #checked(): Promise<Database> {
    const database = this.#database;
    if (database === undefined) {
      throw new PosternError(
        'audit.database_unavailable',
        'audit has no tables: POSTERN_DATABASE_URL_FILE is not set.',
      );
    }
    this.#walled ??= database.checkWalls();
    try {
      await this.#walled;
    } catch (error) {
      this.#walled = undefined;
      throw error;
    }
    return database;
  }
}
