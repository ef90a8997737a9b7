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

/** A query that is its transaction and its wall in one; see {@link lookup}. */
export interface Lookup {
  readonly name: string;
  readonly text: string;
}

/**
 * A query of a fixed text that looks rows up by their keys behind one tenant's wall, alone in its transaction.
 *
 * Setting the tenant is its first part, `wall`. Every table is read by `tenant_id = wall.tenant_id`, in a lateral
 * subquery with a limit or an offset, which PostgreSQL cannot begin before it has the row it depends on. Whatever is read
 * otherwise may be read before there is a tenant, and then it has no rows.
 *
 * @param name under which each connection prepares it once; of this text alone
 * @param text what follows `with wall as (…)`: it reads `from wall`; its own values begin with `$2`
 */
export function lookup(name: string, text: string): Lookup {
  if (!text.includes('wall.tenant_id')) throw new Error(`the query ${name} asks for no tenant's rows`);
  return {
    name,
    text: `with wall as materialized (select set_config('${tenantSetting}', $1, true) as tenant_id) ${text}`,
  };
}

/** What is looked up, for whom. */
interface TenantLookup {
  readonly tenantId: string;
  readonly lookup: Lookup;
  readonly values: readonly unknown[];
}

/** @effect takes the connection, and gives it back. */
export async function walledLookup(
  connection: LentConnection,
  { tenantId, lookup: { name, text }, values }: TenantLookup,
): Promise<Row[]> {
  try {
    return (await connection.query({ name, text, values: [tenantId, ...values] })).rows;
  } finally {
    connection.release();
  }
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
