import { Injectable } from '@nestjs/common';

import { lookup } from '@postern/persistence';

import type { KeyOwner } from './data-keys.ts';
import { vaultSchema } from './tables.ts';
import { TenantBatches } from './tenant-batches.ts';
import { VaultDatabase } from './vault-database.ts';
import { vaultLimits } from './vault-limits.ts';

/** An owner's data key as its table holds it. */
export interface WrappedKey {
  /** Null when it was shredded. */
  readonly wrapped: string | null;
  readonly generation: number;
}

/** The sealed access token of a version; a lease needs no more of its row. */
export interface SealedAccess {
  readonly version: number;
  readonly sealed: Uint8Array;
  readonly keyGeneration: number;
}

/** What stands of an owner at one moment; undefined where there is nothing. */
export interface FoundRows {
  readonly key: WrappedKey | undefined;
  readonly access: SealedAccess | undefined;
}

interface Question {
  readonly ownerId: string;
  readonly version: number | null;
}

interface AnswerRow {
  readonly wrapped_key: string | null;
  readonly generation: number | null;
  readonly version: number | null;
  readonly access_ciphertext: Buffer | null;
  readonly key_generation: number | null;
}

/** Each row is looked up by its primary key: without the limits PostgreSQL might read all of a tenant's to join them. */
const sealedRows = lookup(
  'sealed_rows',
  `select data_key.wrapped_key, data_key.generation,
    credential.version, credential.access_ciphertext, credential.key_generation
  from wall
  cross join unnest($2::text[], $3::integer[]) with ordinality as asked (owner_id, version, place)
  left join lateral (
    select wrapped_key, generation from ${vaultSchema}.data_key
    where tenant_id = wall.tenant_id and owner_id = asked.owner_id limit 1
  ) as data_key on true
  left join lateral (
    select version, access_ciphertext, key_generation from ${vaultSchema}.credential
    where tenant_id = wall.tenant_id and connection_id = asked.owner_id and (asked.version is null or version = asked.version)
    order by version desc limit 1
  ) as credential on true
  order by asked.place`,
);

/**
 * What a first lease needs of the tables: the sealed access token and the data key that opens it, in one round trip and
 * as they stood at one moment. Those who ask at the same time share it.
 */
@Injectable()
export class SealedRows {
  readonly #batches: TenantBatches<Question, FoundRows>;

  constructor(database: VaultDatabase) {
    this.#batches = new TenantBatches(async (tenantId, questions) => {
      const owners = questions.map(({ ownerId }) => ownerId);
      const versions = questions.map(({ version }) => version);
      const rows = await database.lookUp(tenantId, sealedRows, owners, versions);
      return (rows as unknown as AnswerRow[]).map(foundIn);
    }, vaultLimits.sealedRowBatches);
  }

  /**
   * The owner's data key, and the access token of one version of its credential, of the newest when none is named.
   *
   * @throws {PosternError} `vault.database_unavailable`
   */
  async find({ tenantId, ownerId }: KeyOwner, version?: number): Promise<FoundRows> {
    return await this.#batches.ask(tenantId, { ownerId, version: version ?? null });
  }
}

function foundIn(row: AnswerRow): FoundRows {
  const { wrapped_key: wrapped, generation, version } = row;
  const { access_ciphertext: sealed, key_generation: keyGeneration } = row;
  return {
    key: generation === null ? undefined : { wrapped, generation },
    access:
      version === null || sealed === null || keyGeneration === null ? undefined : { version, sealed, keyGeneration },
  };
}
