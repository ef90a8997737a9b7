import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { openDatabase, type Database } from '@postern/persistence';

import { NotifierConfig } from '../notifier-config.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { notifierSchema } from './tables.ts';

/** The tables of `notifier`, opened by the first use: a service starts while its database is down. */
@Injectable()
export class NotifierDatabase implements OnApplicationShutdown {
  readonly #database: Database;
  #walled: Promise<void> | undefined;

  constructor(config: NotifierConfig) {
    this.#database = openDatabase({
      url: config.databaseUrl,
      entities: [],
      schema: notifierSchema,
      poolMax: notifierLimits.databaseConnectionsMax,
      unavailableCode: 'webhook.log_unavailable',
    });
  }

  /** @throws {PosternError} `webhook.log_unavailable`, `config.invalid` for a wall with a hole */
  async inTenant<T>(tenantId: string, work: (em: EntityManager) => Promise<T>): Promise<T> {
    await this.#checked();
    return await this.#database.inTenant(tenantId, work);
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
