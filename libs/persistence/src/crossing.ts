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
 * What is asked without awaiting is sent at once and done in its order, and so is the end: work that awaits nothing takes
 * one round trip. Where something fails that nobody awaited, PostgreSQL refuses what follows it and makes the commit a
 * rollback, and the failure is thrown.
 *
 * @effect takes the connection, and gives it back when the work has ended. Commits when it ended well, else rolls back.
 */
export async function crossTenants<T>(
  connection: LentConnection,
  work: (transaction: CrossingTransaction) => Promise<T>,
): Promise<T> {
  let sent: Promise<unknown> = Promise.resolve();
  /** It counts also where nobody waits for it. In their order: the first failure is the reason, those behind it only say that there was one. */
  const counted = <A>(answer: Promise<A>): Promise<A> => {
    answer.catch(() => undefined);
    sent = sent.then(async () => await answer);
    sent.catch(() => undefined);
    return answer;
  };
  const rowsOf = async (query: TenantQuery) => (await connection.query(query)).rows;
  let broken: Error | undefined;
  try {
    void counted(connection.query('begin'));
    const result = await work({
      run: (query) => counted(rowsOf(query)),
      inTenant: (tenantId, queries) => {
        assertId('tenant', tenantId);
        const answers = Promise.all([enter(tenantId), ...queries, enter('')].map(rowsOf));
        return counted(answers.then((rows) => rows.slice(1, -1)));
      },
    });
    void counted(connection.query('commit'));
    await sent;
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
