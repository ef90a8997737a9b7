import type { CrossingTransaction, Row, TenantQuery } from '@postern/persistence';

import { auditSchema, type ModelRow, type ModelTable } from './tables.ts';

/** Of one generation of a model. */
interface Place {
  readonly table: ModelTable;
  readonly generation: number;
}

const placeOf = ({ name }: ModelTable) => `${auditSchema}.${name}`;

/** A row as a model made it: whole numbers come from PostgreSQL as texts. */
export function rowOf({ columns }: ModelTable, row: Row): ModelRow {
  return Object.fromEntries(
    Object.entries(columns).map(([column, type]) => {
      const value = row[column] as string | boolean | null;
      return [column, type === 'bigint' && value !== null ? Number(value) : value];
    }),
  );
}

/** The rows of these connections. */
export function connectionRows({ table, generation }: Place, connectionIds: readonly string[]): TenantQuery {
  const names = Object.keys(table.columns).join(', ');
  return {
    name: `${table.name}_rows`,
    text: `select ${names} from ${placeOf(table)} where generation = $1 and connection_id = any ($2::text[])`,
    values: [generation, connectionIds],
  };
}

/** Puts rows of one tenant, no two of one key. @param onConflict what is done where it stands: it is replaced. */
export function putRows(
  { table, generation }: Place,
  { tenantId, rows, onConflict }: { tenantId: string; rows: readonly ModelRow[]; onConflict?: string | undefined },
): TenantQuery {
  const columns = Object.entries(table.columns);
  const names = columns.map(([column]) => column).join(', ');
  const lists = columns.map(([, type], index) => `$${index + 3}::${type}[]`).join(', ');
  const others = columns.filter(([column]) => !table.key.includes(column));
  const replaced = others.map(([column]) => `${column} = excluded.${column}`).join(', ');
  return {
    name: `${table.name}_put`,
    text: `insert into ${placeOf(table)} as t (generation, tenant_id, ${names})
      select $1::integer, $2::text, * from unnest(${lists})
      on conflict (generation, tenant_id, ${table.key.join(', ')}) do update set ${onConflict ?? replaced}`,
    values: [generation, tenantId, ...columns.map(([column]) => rows.map((row) => row[column] ?? null))],
  };
}

const removedAtOnce = 5_000;

/** Takes one tenant's rows of a generation away, some at a time. */
export async function removeRows(
  transaction: CrossingTransaction,
  { table, generation }: Place,
  tenantId: string,
): Promise<boolean> {
  const query: TenantQuery = {
    name: `${table.name}_remove`,
    text: `with gone as (delete from ${placeOf(table)} where ctid = any (array(
        select ctid from ${placeOf(table)} where generation = $1 limit ${removedAtOnce})) returning 1)
      select count(*)::integer as gone from gone`,
    values: [generation],
  };
  const [[counted] = []] = await transaction.inTenant(tenantId, [query]);
  return counted?.['gone'] === removedAtOnce;
}

/** The first row of a tenant, by key, that differs between two generations or stands in one alone. */
export function firstDifference(table: ModelTable, [one, other]: readonly [number, number]): TenantQuery {
  const key = table.key.join(', ');
  const rows = (parameter: string) =>
    `(select ${key}, (to_jsonb(t) - 'generation')::text as whole from ${placeOf(table)} t where generation = ${parameter})`;
  return {
    name: `${table.name}_difference`,
    text: `select ${key}, a.whole as live, b.whole as fresh from ${rows('$1')} a full join ${rows('$2')} b using (${key})
      where a.whole is distinct from b.whole order by ${key} limit 1`,
    values: [one, other],
  };
}
