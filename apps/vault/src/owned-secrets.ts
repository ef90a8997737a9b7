import { UniqueConstraintViolationException } from '@mikro-orm/core';
import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import { constantTimeEqual } from '@postern/crypto';
import type { Registration } from '@postern/domain';
import { openCredential, sealCredential, type CredentialBinding } from '@postern/keyring';

import { DataKeys } from '../data-keys.ts';
import { ClientSecretTable, type ClientSecretRow } from '../tables.ts';
import { VaultDatabase } from '../vault-database.ts';

/** Client secrets, a version each time one is stored. */
@Injectable()
export class ClientSecrets {
  readonly #database: VaultDatabase;
  readonly #dataKeys: DataKeys;

  constructor(database: VaultDatabase, dataKeys: DataKeys) {
    this.#database = database;
    this.#dataKeys = dataKeys;
  }

  /**
   * Stores a secret as the next version; the newest one stored again keeps its number.
   *
   * @throws {PosternError} `log.conflict` when another was stored at the same moment.
   */
  async insert(registration: Registration, secret: Uint8Array): Promise<number> {
    const { tenantId, registrationId } = registration;
    const newest = await this.#newest(registration);
    if (newest !== undefined && constantTimeEqual(await this.#open(registration, newest), secret))
      return newest.version;
    const version = (newest?.version ?? 0) + 1;
    const ciphertext = await this.#dataKeys.useOrMake({ tenantId, ownerId: registrationId }, (dataKey) =>
      sealCredential({ dataKey, binding: bindingOf(registration, version), plaintext: secret }),
    );
    const row = { tenantId, registrationId, version, ciphertext, createdAt: new Date() };
    try {
      await this.#database.inTenant(tenantId, (em) => em.insert(ClientSecretTable, row));
    } catch (error) {
      if (!(error instanceof UniqueConstraintViolationException)) throw error;
      throw new PosternError('log.conflict', 'Another secret was stored at the same moment.');
    }
    return version;
  }

  /**
   * The secret that the registration names, or the newest while none is named yet. Zero it after use.
   *
   * @throws {PosternError} `vault.credential_missing`
   */
  async open(registration: Registration): Promise<{ secret: Buffer; version: number }> {
    const row = await this.#newest(registration, registration.secretVersion ?? undefined);
    if (row === undefined) throw new PosternError('vault.credential_missing', 'The registration has no secret.');
    return { secret: await this.#open(registration, row), version: row.version };
  }

  async #newest(registration: Registration, version?: number): Promise<ClientSecretRow | undefined> {
    const { tenantId, registrationId } = registration;
    const where = { tenantId, registrationId, ...(version === undefined ? {} : { version }) };
    const row = await this.#database.inTenant(tenantId, (em) =>
      em.findOne(ClientSecretTable, where, { orderBy: { version: 'desc' } }),
    );
    return row ?? undefined;
  }

  async #open(registration: Registration, { version, ciphertext }: ClientSecretRow): Promise<Buffer> {
    const { tenantId, registrationId } = registration;
    return await this.#dataKeys.use({ tenantId, ownerId: registrationId }, (dataKey) =>
      openCredential({ dataKey, binding: bindingOf(registration, version), sealed: ciphertext }),
    );
  }
}

function bindingOf({ tenantId, providerId, registrationId }: Registration, version: number): CredentialBinding {
  return { tenantId, providerId, ownerId: registrationId, credentialVersion: version, kind: 'client_secret' };
}
