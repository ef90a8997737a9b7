import { assertId } from '@postern/contracts';

import { tenantSetting } from './tenant-policy.ts';
import type { LentConnection, Row, TenantQuery } from './walled-query.ts';

/** One transaction that goes from tenant to tenant; in each it sees and makes that one's rows alone. */
export interface CrossingTransaction {
  /** A query on tables that hold nothing of any tenant; of the others it sees no rows. */
  readonly run: (query: TenantQuery) => Promise<Row[]>;
  /** Queries behind one tenant's wall, in their order, without waiting in between. */
  readonly inTenant: (tenantId: string, queries: readonly TenantQuery[]) => Promise<Row[][]>;
}

const enterText = `select set_config('${tenantSetting}', $1, true)`;
const enter = (tenantId: string): TenantQuery => ({ name: 'tenant_entered', text: enterText, values: [tenantId] });

/**
 * Runs work that belongs to many tenants in one transaction, as whoever turns a log into tables must: rows of all of them
 * and how far the log was read stand together or not at all.
 *
 * What is asked without awaiting is sent at once and done in its order.
 *
 * @effect takes the connection, and gives it back when the work has ended. Commits when it ended well, else rolls back.
 */
export async function crossTenants<T>(
  connection: LentConnection,
  work: (transaction: CrossingTransaction) => Promise<T>,
): Promise<T> {
  let sent: Promise<unknown> = Promise.resolve();
  const send = (queries: readonly TenantQuery[]): Promise<Row[][]> => {
    const answers = Promise.all(queries.map(async (query) => (await connection.query(query)).rows));
    // Also of what nobody waits for: a commit after a failure would be a rollback that looks like one. In their order: the
    // first failure is the reason, those behind it only say that there was one.
    answers.catch(() => undefined);
    sent = sent.then(async () => await answers);
    sent.catch(() => undefined);
    return answers;
  };
  let broken: Error | undefined;
  try {
    await connection.query('begin');
    const result = await work({
      run: async (query) => (await send([query])).flat(),
      inTenant: async (tenantId, queries) => {
        assertId('tenant', tenantId);
        return (await send([enter(tenantId), ...queries, enter('')])).slice(1, -1);
      },
    });
    await sent;
    await connection.query('commit');
    return result;
  } catch (error) {
    await connection.query('rollback').catch((failed: unknown) => {
      broken = failed instanceof Error ? failed : new Error('the rollback failed');
    });
    throw error;
  } finally {
    connection.release(broken);
  }
}
