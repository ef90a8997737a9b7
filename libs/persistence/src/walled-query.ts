import { tenantSetting } from './tenant-policy.ts';

/** What a read gives, as PostgreSQL names and types it. */
export type Row = Readonly<Record<string, unknown>>;

/** One query of a fixed text. */
export interface TenantQuery {
  /** Under which each connection prepares it once; of this text alone. */
  readonly name: string;
  /** With `$1`, `$2` for the values. */
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A connection on loan; what is used of `pg`'s. */
export interface LentConnection {
  query(query: string | TenantQuery): Promise<{ readonly rows: Row[] }>;
  readonly connection: { readonly stream: { cork(): void; uncork(): void } };
  release(error?: Error): void;
}

/** A query by keys has one plan: it is made once a connection, and not weighed anew for each number of keys. */
const wallText = `select set_config('${tenantSetting}', $1, true),
  set_config('plan_cache_mode', 'force_generic_plan', true)`;

/** What is done behind one tenant's wall. */
export interface WalledWork {
  readonly tenantId: string;
  /** In their order, each seeing what those before it did. */
  readonly queries: readonly TenantQuery[];
  readonly mode: 'read only' | 'read write';
}

/**
 * Works behind one tenant's wall in one round trip: a transaction of its own, its tenant, the queries and its end are sent
 * without waiting for one another's answers, and PostgreSQL does them in their order.
 *
 * Where one fails nothing is given and nothing done: PostgreSQL refuses what follows it in the transaction and ends it
 * with a rollback, and without a tenant the wall shows no rows.
 *
 * @effect takes the connection, and gives it back once everything was answered.
 * @returns the rows of each query.
 */
export async function walledQueries(connection: LentConnection, work: WalledWork): Promise<Row[][]> {
  const { tenantId, queries, mode } = work;
  const answers = await Promise.allSettled(
    inOneWrite(connection, () => [
      connection.query(`begin ${mode}`),
      connection.query({ name: 'tenant_wall', text: wallText, values: [tenantId] }),
      ...queries.map((query) => connection.query(query)),
      connection.query('commit'),
    ]),
  );
  connection.release();
  const failed = answers.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
  return answers.slice(2, -1).map((answer) => (answer.status === 'fulfilled' ? answer.value.rows : []));
}

/** As `pg` does it for the messages of one query. */
function inOneWrite<T>({ connection: { stream } }: LentConnection, send: () => T): T {
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}
