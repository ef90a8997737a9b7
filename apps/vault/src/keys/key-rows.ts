import type { EntityManager } from '@mikro-orm/postgresql';

import { vaultSchema } from '../tables.ts';

const dataKey = `${vaultSchema}.data_key`;
const retirement = `${vaultSchema}.key_retirement`;

/** A data key that a step has to do with. */
export interface DueDataKey {
  readonly ownerId: string;
  readonly wrapped: string;
  readonly generation: number;
  /** Was it generated under an older version, so that a copy of its older wrapping yields it? */
  readonly old: boolean;
}

/** Which data keys are due: the version that must wrap them, and whether it must also have been there at their making. */
export interface Due {
  readonly tenantId: string;
  readonly version: number;
  readonly dataKeys: boolean;
}

export interface ByVersion {
  readonly version: number | null;
  readonly count: number;
}

export interface Shredding {
  readonly ownerId: string;
  readonly shreddedAtMs: number | null;
  readonly keyVersion: number | null;
  readonly completeSinceMs: number | null;
}

const timeMsSql = (time: string) => `floor(extract(epoch from ${time}) * 1000)::float8`;

const dueSql = `(coalesce(wrapped_version, 0) < ? or (? and coalesce(made_version, 0) < ?))`;
const dueParams = ({ version, dataKeys }: Due) => [version, dataKeys, version];

/** The next data keys that are due, by owner. */
export async function dueDataKeys(
  em: EntityManager,
  due: Due,
  page: { readonly after: string; readonly limit: number },
): Promise<DueDataKey[]> {
  const sql = `select owner_id as "ownerId", wrapped_key as "wrapped", generation,
      coalesce(made_version, 0) < ? as "old"
    from ${dataKey} where tenant_id = ? and wrapped_key is not null and owner_id > ? and ${dueSql}
    order by owner_id limit ?`;
  return await em.execute(sql, [due.version, due.tenantId, page.after, ...dueParams(due), page.limit]);
}

/** How far it is: every data key of the tenant, and those that are not due. */
export async function progressOf(em: EntityManager, due: Due): Promise<{ total: number; done: number }> {
  const sql = `select count(*)::integer as total, (count(*) filter (where not ${dueSql}))::integer as done
    from ${dataKey} where tenant_id = ? and wrapped_key is not null`;
  const [row] = await em.execute<{ total: number; done: number }[]>(sql, [...dueParams(due), due.tenantId]);
  return row ?? { total: 0, done: 0 };
}

/** Puts a data key's new wrapping in the place of the one that was read; what has changed since stays. */
export async function replaceWrapping(
  em: EntityManager,
  { tenantId, ownerId }: { tenantId: string; ownerId: string },
  { from, to }: { from: string; to: string },
): Promise<void> {
  const sql = `update ${dataKey} set wrapped_key = ? where tenant_id = ? and owner_id = ? and wrapped_key = ?`;
  await em.execute(sql, [to, tenantId, ownerId, from]);
}

/** Has the owner still that wrapping? */
export async function isWrappedSo(
  em: EntityManager,
  { tenantId, ownerId }: { tenantId: string; ownerId: string },
  wrapped: string,
): Promise<boolean> {
  const sql = `select 1 from ${dataKey} where tenant_id = ? and owner_id = ? and wrapped_key = ?`;
  return (await em.execute<unknown[]>(sql, [tenantId, ownerId, wrapped])).length > 0;
}

/** Holds an owner's row alone, if its data key is of that generation and was not shredded. */
export async function takeAlone(
  em: EntityManager,
  { tenantId, ownerId }: { tenantId: string; ownerId: string },
  generation: number,
): Promise<boolean> {
  const sql = `select 1 from ${dataKey}
    where tenant_id = ? and owner_id = ? and generation = ? and wrapped_key is not null for update`;
  return (await em.execute<unknown[]>(sql, [tenantId, ownerId, generation])).length > 0;
}

/** Puts the next data key in the place of the one whose row the transaction holds alone. */
export async function replaceDataKey(
  em: EntityManager,
  { tenantId, ownerId }: { tenantId: string; ownerId: string },
  next: { readonly wrapped: string; readonly generation: number },
): Promise<void> {
  const where = 'where tenant_id = ? and owner_id = ?';
  const set = `update ${dataKey} set wrapped_key = ?, generation = ?, created_at = now() ${where}`;
  await em.execute(set, [next.wrapped, next.generation, tenantId, ownerId]);
  await em.execute(`update ${dataKey} set made_version = wrapped_version ${where}`, [tenantId, ownerId]);
}

/** The tenant's data keys by version of its key. */
export async function countByVersion(
  em: EntityManager,
  tenantId: string,
  column: 'wrapped_version' | 'made_version',
): Promise<ByVersion[]> {
  const sql = `select ${column} as version, count(*)::integer as count from ${dataKey}
    where tenant_id = ? and wrapped_key is not null group by 1 order by 1`;
  return await em.execute(sql, [tenantId]);
}

/** The newest retirement that has begun, and the newest that is over. */
export async function retirementsOf(
  em: EntityManager,
  tenantId: string,
): Promise<{ refusedBefore: number | null; goneBefore: number | null }> {
  const sql = `select max(before_version) as "refusedBefore",
      max(before_version) filter (where gone_at is not null) as "goneBefore"
    from ${retirement} where tenant_id = ?`;
  const [row] = await em.execute<{ refusedBefore: number | null; goneBefore: number | null }[]>(sql, [tenantId]);
  return row ?? { refusedBefore: null, goneBefore: null };
}

/** Takes down that versions before this one are gone; the first time counts. @returns since when, in milliseconds. */
export async function recordGone(em: EntityManager, tenantId: string, beforeVersion: number): Promise<number> {
  const sql = `insert into ${retirement} as old (tenant_id, before_version, began_at, gone_at)
    values (?, ?, now(), now())
    on conflict (tenant_id, before_version) do update set gone_at = coalesce(old.gone_at, excluded.gone_at)
    returning ${timeMsSql('gone_at')} as "goneAtMs"`;
  const [row] = await em.execute<{ goneAtMs: number }[]>(sql, [tenantId, beforeVersion]);
  return row?.goneAtMs ?? 0;
}

/**
 * A shredding is complete from when on the version is gone that wrapped the key at the time, or from the shredding on
 * when there was no key. Older wrappings were by older versions, which go with it.
 */
const shreddingsSql = `select owner_id, shredded_at, shredded_version,
    case when shredded_version is null then shredded_at
      else (select greatest(min(gone_at), d.shredded_at) from ${retirement} r
        where r.tenant_id = d.tenant_id and r.before_version > d.shredded_version and r.gone_at is not null
        having count(*) > 0)
    end as complete_since
  from ${dataKey} d where d.tenant_id = ? and d.wrapped_key is null`;

/** The tenant's shreddings by owner, a page of them. */
export async function shreddingsOf(
  em: EntityManager,
  tenantId: string,
  page: { readonly after: string; readonly limit: number },
): Promise<Shredding[]> {
  const sql = `select owner_id as "ownerId", ${timeMsSql('shredded_at')} as "shreddedAtMs",
      shredded_version as "keyVersion", ${timeMsSql('complete_since')} as "completeSinceMs"
    from (${shreddingsSql}) s where owner_id > ? order by owner_id limit ?`;
  return await em.execute(sql, [tenantId, page.after, page.limit]);
}

/** All of a tenant's shreddings together. */
export interface ShreddingSummary {
  readonly complete: number;
  readonly pending: number;
  readonly completeSinceMs: number | null;
  readonly pendingUntilBefore: number | null;
}

export async function shreddingSummary(em: EntityManager, tenantId: string): Promise<ShreddingSummary> {
  const sql = `select (count(*) filter (where complete_since is not null))::integer as complete,
      (count(*) filter (where complete_since is null))::integer as pending,
      ${timeMsSql('max(complete_since)')} as "completeSinceMs",
      max(shredded_version) filter (where complete_since is null) + 1 as "pendingUntilBefore"
    from (${shreddingsSql}) s`;
  const [row] = await em.execute<ShreddingSummary[]>(sql, [tenantId]);
  return row ?? { complete: 0, pending: 0, completeSinceMs: null, pendingUntilBefore: null };
}
