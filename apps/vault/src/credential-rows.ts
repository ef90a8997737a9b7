import type { EntityManager } from '@mikro-orm/postgresql';
import { lookup, type Row, type TenantQuery } from '@postern/persistence';

import type { WrappedKey } from './sealed-rows.ts';
import type { ConnectionRef } from './sealed-token-set.ts';
import { vaultSchema } from './tables.ts';
import type { VaultDatabase } from './vault-database.ts';

/** A version of a connection's credential as its table holds it, and the data key beside it. */
export interface StoredVersion {
  readonly version: number;
  readonly boughtBy: string;
  readonly credentialId: string;
  readonly accessCiphertext: Uint8Array;
  readonly refreshCiphertext: Uint8Array | null;
  readonly keyGeneration: number;
  readonly key: WrappedKey | undefined;
}

/** What is written of a new version. */
export type NewVersion = Omit<StoredVersion, 'key'>;

interface VersionRow {
  /** Of its connection among those asked for, from 1. */
  readonly place: number;
  readonly wrapped_key: string | null;
  readonly generation: number | null;
  readonly version: number;
  readonly bought_by: string;
  readonly credential_id: string;
  readonly access_ciphertext: Buffer;
  readonly refresh_ciphertext: Buffer | null;
  readonly key_generation: number;
}

const credential = `${vaultSchema}.credential`;

/**
 * Each connection's rows are looked up by their key: without the offset, and the limit, PostgreSQL might read all of a
 * tenant's to join them.
 */
const credentialVersions = lookup(
  'credential_versions',
  `select asked.place::integer as place, data_key.wrapped_key, data_key.generation, credential.version,
    credential.bought_by, credential.credential_id, credential.access_ciphertext, credential.refresh_ciphertext,
    credential.key_generation
  from wall
  cross join unnest($2::text[]) with ordinality as asked (connection_id, place)
  cross join lateral (
    select version, bought_by, credential_id, access_ciphertext, refresh_ciphertext, key_generation from ${credential}
    where tenant_id = wall.tenant_id and connection_id = asked.connection_id offset 0
  ) as credential
  left join lateral (
    select wrapped_key, generation from ${vaultSchema}.data_key
    where tenant_id = wall.tenant_id and owner_id = asked.connection_id limit 1
  ) as data_key on true
  order by asked.place, credential.version`,
);

/**
 * Every version that is stored of the credentials of some connections, in their order and the oldest first, in one round
 * trip: there are few of each.
 */
export async function versionsOf(
  database: VaultDatabase,
  tenantId: string,
  connectionIds: readonly string[],
): Promise<StoredVersion[][]> {
  const rows = await database.lookUp(tenantId, credentialVersions, connectionIds);
  const found = connectionIds.map((): StoredVersion[] => []);
  for (const row of rows as unknown as VersionRow[]) {
    found[row.place - 1]?.push({
      version: row.version,
      boughtBy: row.bought_by,
      credentialId: row.credential_id,
      accessCiphertext: row.access_ciphertext,
      refreshCiphertext: row.refresh_ciphertext,
      keyGeneration: row.key_generation,
      key: row.generation === null ? undefined : { wrapped: row.wrapped_key, generation: row.generation },
    });
  }
  return found;
}

const newestSql = `(select coalesce(max(version), 0) from ${credential} where tenant_id = ? and connection_id = ?)`;
const keySql = `(select generation from ${vaultSchema}.data_key
  where tenant_id = ? and owner_id = ? and wrapped_key is not null)`;

/** The newest version in the table; 0 for none. */
export async function newestIn(em: EntityManager, { tenantId, connectionId }: ConnectionRef): Promise<number> {
  const [row] = await em.execute<{ newest: number }[]>(`select ${newestSql} as newest`, [tenantId, connectionId]);
  return row?.newest ?? 0;
}

/** A version to be written, and what must be so for it. */
export interface VersionInsert {
  readonly row: NewVersion;
  /** The newest in the table. */
  readonly newestVersion: number;
  /** What is older is let go: the log has no use for it. */
  readonly currentVersion: number;
}

/**
 * Inserts a version while another one is the newest and the data key is the one that sealed it, and lets go of those that
 * the log has no use for: one statement, whose row tells that it was written.
 */
const insertSql = `with stored as (
    insert into ${credential} (tenant_id, connection_id, version, bought_by, credential_id, access_ciphertext,
      refresh_ciphertext, key_generation, created_at)
    select ?, ?, ?, ?, ?, ?, ?, ?, now() where ${newestSql} = ? and ${keySql} = ?
    returning version
  ), gone as (
    delete from ${credential} where tenant_id = ? and connection_id = ? and version < ?
      and exists (select 1 from stored)
  )
  select version from stored`;

function insertValues({ tenantId, connectionId }: ConnectionRef, next: VersionInsert): unknown[] {
  const { version, boughtBy, credentialId, accessCiphertext, refreshCiphertext, keyGeneration } = next.row;
  const ref = [tenantId, connectionId];
  const row = [version, boughtBy, credentialId, accessCiphertext, refreshCiphertext, keyGeneration];
  return [...ref, ...row, ...ref, next.newestVersion, ...ref, keyGeneration, ...ref, next.currentVersion];
}

/** @returns false when what must be so was not: nothing was written. */
export async function insertVersion(em: EntityManager, ref: ConnectionRef, next: VersionInsert): Promise<boolean> {
  return (await em.execute<Row[]>(insertSql, insertValues(ref, next))).length > 0;
}

let places = 0;
const insertText = insertSql.replaceAll('?', () => `$${(places += 1)}`);

/** The same as one of several queries. */
export function insertVersionQuery(ref: ConnectionRef, next: VersionInsert): TenantQuery {
  return { name: 'insert_version', text: insertText, values: insertValues(ref, next) };
}
