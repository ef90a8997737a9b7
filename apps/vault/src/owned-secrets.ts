import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { PosternError, type RegistrationSecretKind } from '@postern/contracts';
import { constantTimeEqual, zero } from '@postern/crypto';
import { openCredential, sealCredential, type CredentialBinding } from '@postern/keyring';
import { lookup } from '@postern/persistence';

import { DataKeys } from './data-keys.ts';
import type { Reseal } from './sealed-token-set.ts';
import { OwnedSecretTable, vaultSchema } from './tables.ts';
import { VaultDatabase } from './vault-database.ts';

/** Whose secret, and which: a registration has some of each kind, a connection its DPoP key, a webhook what signs. */
export interface SecretPlace {
  readonly tenantId: string;
  readonly providerId: string;
  readonly ownerId: string;
  readonly kind: RegistrationSecretKind | 'dpop_key' | 'endpoint_secret';
}

interface FoundSecret {
  readonly version: number;
  readonly ciphertext: Uint8Array;
  readonly keyGeneration: number;
}

const ownedSecret = lookup(
  'owned_secret',
  `select secret.* from wall cross join lateral (
    select version, ciphertext, key_generation as "keyGeneration" from ${vaultSchema}.owned_secret
    where tenant_id = wall.tenant_id and owner_id = $2 and kind = $3 and ($4::integer is null or version = $4)
    order by version desc limit 1
  ) as secret`,
);

/** Secrets beside tokens, in versions. Which of them counts is for the log to say, and never for this table. */
@Injectable()
export class OwnedSecrets {
  readonly #database: VaultDatabase;
  readonly #dataKeys: DataKeys;

  constructor(database: VaultDatabase, dataKeys: DataKeys) {
    this.#database = database;
    this.#dataKeys = dataKeys;
  }

  /**
   * Stores a secret as the next version; the newest one stored again keeps its number.
   *
   * @throws {PosternError} `log.conflict` when another was stored at the same moment; what {@link DataKeys} throws.
   */
  async insertNext(place: SecretPlace, secret: Uint8Array): Promise<number> {
    const newest = await this.#find(place);
    if (newest !== undefined) {
      const known = await this.#open(place, newest);
      try {
        if (constantTimeEqual(known, secret)) return newest.version;
      } finally {
        zero(known);
      }
    }
    const version = (newest?.version ?? 0) + 1;
    if (await this.insert(place, { version, secret })) return version;
    throw new PosternError('log.conflict', 'Another secret was stored at the same moment.');
  }

  /** Stores this version of a secret. @returns false when there is one already, which stays as it is. */
  async insert(place: SecretPlace, { version, secret }: { version: number; secret: Uint8Array }): Promise<boolean> {
    const { tenantId, ownerId, kind } = place;
    const binding = bindingOf(place, version);
    try {
      await this.#dataKeys.store(
        { tenantId, ownerId },
        {
          seal: (dataKey) => ({ ciphertext: sealCredential({ dataKey, binding, plaintext: secret }) }),
          insert: (em, sealed) =>
            em.insert(OwnedSecretTable, { tenantId, ownerId, kind, version, ...sealed, createdAt: new Date() }),
        },
      );
      return true;
    } catch (error) {
      if (!(error instanceof UniqueConstraintViolationException)) throw error;
      return false;
    }
  }

  /** A version of a secret. Zero it after use. @throws {PosternError} `vault.credential_missing` */
  async open(place: SecretPlace, version: number): Promise<Buffer> {
    const row = await this.#find(place, version);
    if (row === undefined) throw new PosternError('vault.credential_missing', 'The vault does not hold this secret.');
    return await this.#open(place, row);
  }

  /** Deletes the versions of a secret below this one, but for those that are kept. @returns how many there were. */
  async removeOlder(place: SecretPlace, { than, but }: { than: number; but: readonly number[] }): Promise<number> {
    const { tenantId, ownerId, kind } = place;
    const version = { $lt: than, $nin: [...but] };
    return await this.#database.inTenant(tenantId, (em) =>
      em.nativeDelete(OwnedSecretTable, { tenantId, ownerId, kind, version }),
    );
  }

  /** Takes all secrets of an owner away, within the caller's transaction. */
  async removeAll(em: EntityManager, { tenantId, ownerId }: Pick<SecretPlace, 'tenantId' | 'ownerId'>): Promise<void> {
    await em.nativeDelete(OwnedSecretTable, { tenantId, ownerId });
  }

  /** Seals all of an owner's under its next data key, within the caller's transaction. */
  async reseal(
    em: EntityManager,
    owner: Omit<SecretPlace, 'kind'>,
    to: { keyGeneration: number; reseal: Reseal },
  ): Promise<void> {
    const { tenantId, ownerId } = owner;
    for (const { kind, version, ciphertext } of await em.find(OwnedSecretTable, { tenantId, ownerId })) {
      await em.nativeUpdate(
        OwnedSecretTable,
        { tenantId, ownerId, kind, version },
        { ciphertext: to.reseal(bindingOf({ ...owner, kind }, version), ciphertext), keyGeneration: to.keyGeneration },
      );
    }
  }

  /** The row of this version, or the newest, in one round trip. */
  async #find({ tenantId, ownerId, kind }: SecretPlace, version?: number): Promise<FoundSecret | undefined> {
    const [row] = await this.#database.lookUp(tenantId, ownedSecret, ownerId, kind, version ?? null);
    return row as unknown as FoundSecret | undefined;
  }

  async #open(place: SecretPlace, found: FoundSecret): Promise<Buffer> {
    const { tenantId, ownerId } = place;
    const binding = bindingOf(place, found.version);
    return await this.#dataKeys.use(
      { tenantId, ownerId },
      {
        kind: binding.kind,
        read: async (again) => (again ? await this.#find(place, found.version) : found) ?? found,
        open: (dataKey, { ciphertext }) => openCredential({ dataKey, binding, sealed: ciphertext }),
      },
    );
  }
}

function bindingOf(
  { tenantId, providerId, ownerId, kind }: Omit<SecretPlace, 'kind'> & { readonly kind: string },
  version: number,
): CredentialBinding {
  return { tenantId, providerId, ownerId, credentialVersion: version, kind };
}
