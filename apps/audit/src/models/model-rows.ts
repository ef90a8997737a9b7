import type { CrossingTransaction, Row, TenantQuery } from '@postern/persistence';

import { auditSchema, type AgingTable, type ModelRow, type ModelTable } from './tables.ts';

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
    values: [generation, tenantId, ...columns.map(([column]) => arrayLiteral(rows, column))],
  };
}

/** What JSON spells by letters, PostgreSQL would read as those letters. */
const spelled = /\\[^"\\]/;
const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

/**
 * One column of these rows as PostgreSQL reads an array: between its braces that is JSON, but for characters that JSON
 * spells. The client makes the same of a list, and takes longer for that than the fold for the rows.
 */
export function arrayLiteral(rows: readonly ModelRow[], column: string): string {
  const values = rows.map((row) => row[column] ?? null);
  const json = JSON.stringify(values);
  if (!spelled.test(json)) return `{${json.slice(1, -1)}}`;
  return `{${values.map((value) => (typeof value === 'string' ? quoted(value) : String(value))).join(',')}}`;
}

const removedAtOnce = 5_000;

/** Takes one tenant's rows of a generation away, some at a time. */
export async function removeRows(
  transaction: CrossingTransaction,
  { table, generation }: Place,
  tenantId: string,
): Promise<boolean> {
  const which = { name: `${table.name}_remove`, where: 'true', values: [generation] };
  return await removeSome(transaction, tenantId, { table, ...which });
}

/** Takes one tenant's rows away that are older than what is kept, some at a time. @returns whether there may be more. */
export async function removeAged(
  transaction: CrossingTransaction,
  {
    table,
    generation,
    keptFromMs,
  }: { readonly table: AgingTable; readonly generation: number; readonly keptFromMs: number },
  tenantId: string,
): Promise<boolean> {
  const which = { name: `${table.name}_remove_aged`, where: `${table.agesBy} < $2`, values: [generation, keptFromMs] };
  return await removeSome(transaction, tenantId, { table, ...which });
}

async function removeSome(
  transaction: CrossingTransaction,
  tenantId: string,
  {
    table,
    name,
    where,
    values,
  }: { readonly table: ModelTable; readonly name: string; readonly where: string; readonly values: number[] },
): Promise<boolean> {
  const query: TenantQuery = {
    name,
    text: `with gone as (delete from ${placeOf(table)} where ctid = any (array(
        select ctid from ${placeOf(table)} where generation = $1 and ${where} limit ${removedAtOnce})) returning 1)
      select count(*)::integer as gone from gone`,
    values,
  };
  const [[counted] = []] = await transaction.inTenant(tenantId, [query]);
  return counted?.['gone'] === removedAtOnce;
}

/**
 * The first row of a tenant, by key, that differs between two generations or stands in one alone; of a table whose rows
 * grow old, among those that both keep.
 */
export function firstDifference(
  table: ModelTable | AgingTable,
  { pair: [one, other], keptFromMs }: { readonly pair: readonly [number, number]; readonly keptFromMs: number },
): TenantQuery {
  const key = table.key.join(', ');
  const isKept = 'agesBy' in table ? `and ${table.agesBy} >= $3` : '';
  const rows = (parameter: string) =>
    `(select ${key}, (to_jsonb(t) - 'generation')::text as whole from ${placeOf(table)} t
      where generation = ${parameter} ${isKept})`;
  return {
    name: `${table.name}_difference`,
    text: `select ${key}, a.whole as live, b.whole as fresh from ${rows('$1')} a full join ${rows('$2')} b using (${key})
      where a.whole is distinct from b.whole order by ${key} limit 1`,
    values: [one, other, ...('agesBy' in table ? [keptFromMs] : [])],
  };
}
