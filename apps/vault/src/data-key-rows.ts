import type { EntityManager } from '@mikro-orm/postgresql';
import { PosternError } from '@postern/contracts';
import type { Row, TenantQuery } from '@postern/persistence';

import type { KeyOwner } from './data-keys.ts';
import { vaultSchema } from './tables.ts';

const dataKey = `${vaultSchema}.data_key`;
const retirement = `${vaultSchema}.key_retirement`;

/** The version that a wrapped key names, as the column `wrapped_version` computes it. */
const versionSql = `((regexp_match(cast(? as text), '^(local:v1:|vault:v)([0-9]{1,9}):'))[2]::integer)`;

/** Who stores a wrapped key shares this lock of its tenant; who begins a retirement has it alone. */
const wrapLockSql = (mode: '' | '_shared') =>
  `select pg_advisory_xact_lock${mode}(hashtextextended('postern.vault.wrap.' || cast(? as text), 0))`;

/** The oldest version that may still wrap; 0 when any may. */
const wrapFloorSql = `(select coalesce(max(before_version), 0) from ${retirement} where tenant_id = ?)`;

const holdSql = (tenantId: string, ownerId: string) => `select generation, wrapped_key is null as shredded
  from ${dataKey} where tenant_id = ${tenantId} and owner_id = ${ownerId} for share`;

/**
 * Holds the owner's data key to what it is until the transaction ends, if it is of that generation.
 *
 * @throws {PosternError} `connection.deleted` when it was shredded.
 */
export async function holds(em: EntityManager, { tenantId, ownerId }: KeyOwner, generation: number): Promise<boolean> {
  const [row] = await em.execute<Row[]>(holdSql('?', '?'), [tenantId, ownerId]);
  return isHeld(row, generation);
}

/** The same as the first of several queries; {@link isHeld} reads what it gives. */
export function holdQuery({ tenantId, ownerId }: KeyOwner): TenantQuery {
  return { name: 'hold_data_key', text: holdSql('$1', '$2'), values: [tenantId, ownerId] };
}

/** @throws {PosternError} `connection.deleted` when it was shredded. */
export function isHeld(row: Row | undefined, generation: number): boolean {
  if (row?.['shredded'] === true) throw new PosternError('connection.deleted', 'The key of this owner was shredded.');
  return row?.['generation'] === generation;
}

/**
 * Inserts an owner's first data key; one that is there already stays.
 *
 * @returns false when it is wrapped by a version that is being retired: nothing was written.
 */
export async function insertDataKey(
  em: EntityManager,
  { tenantId, ownerId }: KeyOwner,
  wrapped: string,
): Promise<boolean> {
  if (!(await mayWrap(em, tenantId, wrapped))) return false;
  const sql = `insert into ${dataKey} (tenant_id, owner_id, wrapped_key, made_version, created_at)
    values (?, ?, ?, ${versionSql}, now()) on conflict (tenant_id, owner_id) do nothing`;
  await em.execute(sql, [tenantId, ownerId, wrapped, wrapped]);
  return true;
}

/**
 * May this wrapped key be stored? From the moment that a retirement has begun nothing wrapped by an older version is,
 * by no vault: what was stored before is seen by the rewrap that follows. Asked in the transaction that stores.
 */
export async function mayWrap(em: EntityManager, tenantId: string, wrapped: string): Promise<boolean> {
  await em.execute(wrapLockSql('_shared'), [tenantId]);
  const sql = `select coalesce(${versionSql}, 0) >= ${wrapFloorSql} as allowed`;
  const [row] = await em.execute<{ allowed: boolean }[]>(sql, [wrapped, tenantId]);
  return row?.allowed === true;
}

/** From the end of this transaction on nothing is wrapped by versions before this one. @effect may be repeated. */
export async function beginRetirement(em: EntityManager, tenantId: string, beforeVersion: number): Promise<void> {
  await em.execute(wrapLockSql(''), [tenantId]);
  const sql = `insert into ${retirement} (tenant_id, before_version, began_at) values (?, ?, now())
    on conflict (tenant_id, before_version) do nothing`;
  await em.execute(sql, [tenantId, beforeVersion]);
}

/** Leaves the row without its key, and takes down when and by which version it was wrapped: nothing of it is secret. */
export async function shredDataKey(em: EntityManager, { tenantId, ownerId }: KeyOwner): Promise<void> {
  const sql = `insert into ${dataKey} as old (tenant_id, owner_id, wrapped_key, created_at, shredded_at)
    values (?, ?, null, now(), now())
    on conflict (tenant_id, owner_id) do update set wrapped_key = null,
      shredded_at = coalesce(old.shredded_at, excluded.shredded_at),
      shredded_version = coalesce(old.shredded_version, old.wrapped_version)`;
  await em.execute(sql, [tenantId, ownerId]);
}
