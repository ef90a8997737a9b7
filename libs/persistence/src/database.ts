import type { EntitySchema } from '@mikro-orm/core';
import { MikroORM, type EntityManager } from '@mikro-orm/postgresql';
import { assertId, PosternError, type ErrorCode } from '@postern/contracts';

import { crossTenants, type CrossingTransaction } from './crossing.ts';
import { identifier } from './identifiers.ts';
import { revealed, type Revealable } from './revealable.ts';
import { tenantSetting } from './tenant-policy.ts';
import { returnBroken } from './return-broken.ts';
import { isUnavailable } from './unavailable.ts';
import { checkWalls, type Query } from './wall-check.ts';
import {
  walledLookup,
  walledQueries,
  type LentConnection,
  type Lookup,
  type Row,
  type TenantQuery,
  type WalledWork,
} from './walled-query.ts';

/** How long a statement may run, and how long one waits for a connection. */
export const statementTimeoutMs = 5_000;
export const connectTimeoutMs = 3_000;

/** An open pool to one schema; the tables are reached inside a tenant only. */
export interface Database {
  /**
   * Runs work in one transaction that sees the rows of one tenant.
   *
   * @effect Commits when the work ends, rolls back when it throws; it is never repeated by itself.
   * @throws {PosternError} the given code when the database does not answer; whatever the work throws.
   */
  inTenant<T>(tenantId: string, work: (em: EntityManager) => Promise<T>): Promise<T>;
  /**
   * Reads the rows of one tenant by one query, in one round trip: for what a request waits for.
   *
   * @returns the rows as PostgreSQL names their columns.
   * @throws {PosternError} the given code when the database does not answer.
   */
  readInTenant(tenantId: string, query: TenantQuery): Promise<Row[]>;
  /**
   * Looks rows of one tenant up by their keys: one statement, which is the least that a request can wait for.
   *
   * @param values from `$2` on. @throws {PosternError} as `readInTenant`
   */
  lookUpInTenant(tenantId: string, lookup: Lookup, values: readonly unknown[]): Promise<Row[]>;
  /**
   * Runs queries of one tenant, known beforehand, in one transaction and one round trip.
   *
   * @effect Commits when all of them were done, rolls back when one fails; it is never repeated by itself.
   * @returns the rows of each. @throws {PosternError} as `inTenant`; what PostgreSQL says of a query.
   */
  writeInTenant(tenantId: string, queries: readonly TenantQuery[]): Promise<Row[][]>;
  /**
   * Runs work in one transaction without a tenant: only the tables of `sharedTables` have rows there.
   *
   * @effect as `inTenant`. @throws {PosternError} as `inTenant`
   */
  inNoTenant<T>(work: (em: EntityManager) => Promise<T>): Promise<T>;
  /**
   * Runs work that goes from tenant to tenant in one transaction.
   *
   * @effect as `inTenant`. @throws {PosternError} as `inTenant`; what PostgreSQL says of a query.
   */
  acrossTenants<T>(work: (transaction: CrossingTransaction) => Promise<T>): Promise<T>;
  /**
   * Refuses to go on when the role could step over row-level security or a table stands outside it.
   *
   * @throws {PosternError} `config.invalid`
   */
  checkWalls(): Promise<void>;
  /** One round trip; throws as `inTenant` does. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  /** `postgresql://role:password@host:port/database`, of the service's own role. */
  readonly url: Revealable;
  readonly entities: readonly EntitySchema[];
  readonly schema: string;
  readonly poolMax: number;
  /** Tables that hold nothing of any tenant, such as how far a log was read: the named exceptions from the wall. */
  readonly sharedTables?: readonly string[];
  /**
   * Whatever is asked looks rows up by their keys: a prepared query is planned once a connection, and not weighed anew for
   * each number of keys.
   */
  readonly plansOnce?: boolean;
  /** What the app says when the database cannot be reached. */
  readonly unavailableCode: ErrorCode;
}

/**
 * Opens a pool; the first connection is made by the first use, so a service starts while its database is down.
 *
 * @throws {PosternError} `config.invalid` when the URL is none.
 */
export function openDatabase(options: DatabaseOptions): Database {
  const { unavailableCode, poolMax, sharedTables = [] } = options;
  const schema = identifier(options.schema);
  const orm = new MikroORM({
    clientUrl: checkedUrl(options.url),
    entities: [...options.entities],
    discovery: { warnWhenNoEntities: false },
    schema,
    debug: false,
    ensureDatabase: false,
    logger: () => undefined,
    pool: { min: 0, max: poolMax },
    driverOptions: {
      connectionTimeoutMillis: connectTimeoutMs,
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: statementTimeoutMs,
      application_name: `postern-${schema}`,
      ...(options.plansOnce === true && { options: '-c plan_cache_mode=force_generic_plan' }),
      // What does not wait for an answer is sent at once; whoever waits for each notices nothing.
      pipeline: true,
      onPoolCreated: returnBroken,
    },
  });
  const guarded = <T>(work: () => Promise<T>): Promise<T> => translated(work, unavailableCode);
  const lent = async (): Promise<LentConnection> => {
    const pool: { connect: () => Promise<LentConnection> } = await orm.em.getConnection().getNativeClient();
    return await pool.connect();
  };
  const walled = (work: WalledWork): Promise<Row[][]> =>
    guarded(async () => {
      assertId('tenant', work.tenantId);
      return await walledQueries(await lent(), work);
    });
  const query: Query = (sql, params) => orm.em.getConnection().execute(sql, [...params], 'all');
  return {
    inTenant: (tenantId, work) =>
      guarded(async () => {
        assertId('tenant', tenantId);
        return orm.em.fork({ clear: true }).transactional(async (em) => {
          await em.execute('select set_config(?, ?, true)', [tenantSetting, tenantId]);
          return work(em);
        });
      }),
    readInTenant: async (tenantId, query) => {
      const [rows = []] = await walled({ tenantId, queries: [query], mode: 'read only' });
      return rows;
    },
    lookUpInTenant: (tenantId, asked, values) =>
      guarded(async () => {
        assertId('tenant', tenantId);
        return await walledLookup(await lent(), { tenantId, lookup: asked, values });
      }),
    writeInTenant: async (tenantId, queries) => await walled({ tenantId, queries, mode: 'read write' }),
    acrossTenants: (work) => guarded(async () => crossTenants(await lent(), work)),
    inNoTenant: (work) => guarded(async () => orm.em.fork({ clear: true }).transactional(work)),
    checkWalls: () => guarded(() => checkWalls(query, { schema, sharedTables })),
    ping: () => guarded(async () => void (await query('select 1', []))),
    close: () => orm.close(true),
  };
}

function checkedUrl(url: Revealable): string {
  const text = revealed(url).trim();
  if (URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)) return text;
  throw new PosternError('config.invalid', 'The database URL must be postgresql://role:password@host:port/database.');
}

async function translated<T>(work: () => Promise<T>, code: ErrorCode): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isUnavailable(error)) throw new PosternError(code, 'The database does not answer.', { cause: error });
    throw error;
  }
}
