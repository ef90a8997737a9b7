import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { newId, TokenSet } from '@postern/contracts';

import { DataKeys } from './data-keys.ts';
import { bindingOf, openJson, sealJson, type CredentialOwner } from './sealed-token-set.ts';
import { PendingCredentialTable, type PendingCredentialRow } from './tables.ts';
import { VaultDatabase } from './vault-database.ts';

/** Token sets of sessions that no platform has completed yet: nothing can be leased from them. */
@Injectable()
export class PendingCredentials {
  readonly #database: VaultDatabase;
  readonly #dataKeys: DataKeys;

  constructor(database: VaultDatabase, dataKeys: DataKeys) {
    this.#database = database;
    this.#dataKeys = dataKeys;
  }

  /** Stores what a session's code bought, once. @returns the id of the first one stored for this session. */
  async insert(owner: CredentialOwner, session: { sessionId: string; expiresAtMs: number }, tokenSet: TokenSet) {
    const { tenantId, connectionId } = owner;
    const { sessionId, expiresAtMs } = session;
    const binding = bindingOf(owner, 0, `pending_token_set/${sessionId}`);
    const ciphertext = await this.#dataKeys.useOrMake({ tenantId, ownerId: connectionId }, (dataKey) =>
      sealJson(dataKey, binding, tokenSet),
    );
    const key = { tenantId, connectionId, sessionId };
    const row = { ...key, credentialId: newId('credential'), ciphertext, expiresAt: new Date(expiresAtMs) };
    return await this.#database.inTenant(tenantId, async (em) => {
      await em.upsert(PendingCredentialTable, row, { onConflictAction: 'ignore' });
      const stored = await em.findOneOrFail(PendingCredentialTable, key, { refresh: true });
      return { credentialId: stored.credentialId };
    });
  }

  /** Opens the token set of a session, if it is there. @throws {PosternError} `vault.ciphertext_invalid` */
  async open(owner: CredentialOwner, sessionId: string): Promise<TokenSet | undefined> {
    const row = await this.find(owner, sessionId);
    if (row === null) return undefined;
    const binding = bindingOf(owner, 0, `pending_token_set/${sessionId}`);
    return await this.#dataKeys.use({ tenantId: owner.tenantId, ownerId: owner.connectionId }, (dataKey) =>
      openJson(dataKey, { binding, sealed: row.ciphertext, schema: TokenSet }),
    );
  }

  async find({ tenantId, connectionId }: CredentialOwner, sessionId: string): Promise<PendingCredentialRow | null> {
    return await this.#database.inTenant(tenantId, (em) =>
      em.findOne(PendingCredentialTable, { tenantId, connectionId, sessionId }),
    );
  }

  /** Takes one away, within the caller's transaction. */
  async remove(em: EntityManager, { tenantId, connectionId }: CredentialOwner, sessionId?: string): Promise<void> {
    const where = { tenantId, connectionId, ...(sessionId === undefined ? {} : { sessionId }) };
    await em.nativeDelete(PendingCredentialTable, where);
  }

  /** Throws away what nobody completed in time. @returns how many. */
  async removeExpired(tenantId: string, now: Date): Promise<number> {
    return await this.#database.inTenant(tenantId, (em) =>
      em.nativeDelete(PendingCredentialTable, { tenantId, expiresAt: { $lt: now } }),
    );
  }
}
