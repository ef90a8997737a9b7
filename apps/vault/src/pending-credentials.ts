import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import { DeviceCode, newId, TokenSet } from '@postern/contracts';
import type { z } from 'zod';

import { DataKeys } from './data-keys.ts';
import {
  bindingOf,
  openJson,
  sealJson,
  type ConnectionRef,
  type CredentialOwner,
  type Reseal,
} from './sealed-token-set.ts';
import { PendingCredentialTable, type PendingCredentialRow } from './tables.ts';
import { VaultDatabase } from './vault-database.ts';

/** What waits for the end of a session: under its id, or a name made from that. */
interface Waiting {
  readonly name: string;
  readonly expiresAtMs: number;
  readonly value: object;
}

/** The name of the device code by which a session's tokens are asked for. */
const deviceCodeOf = (sessionId: string) => `device/${sessionId}`;

/**
 * Token sets of sessions that no platform has completed yet, and the device codes of those whose end user has not decided
 * yet: nothing can be leased from them.
 */
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
    return await this.#insert(owner, { name: session.sessionId, expiresAtMs: session.expiresAtMs, value: tokenSet });
  }

  /** Opens the token set of a session, if it is there. @throws {PosternError} `vault.ciphertext_invalid` */
  async open(owner: CredentialOwner, sessionId: string): Promise<TokenSet | undefined> {
    return await this.#open(owner, sessionId, TokenSet);
  }

  /** Stores by what a session's tokens are asked for; the first one stays. */
  async insertDeviceCode(
    owner: CredentialOwner,
    session: { sessionId: string; expiresAtMs: number },
    deviceCode: DeviceCode,
  ): Promise<void> {
    await this.#insert(owner, {
      name: deviceCodeOf(session.sessionId),
      expiresAtMs: session.expiresAtMs,
      value: deviceCode,
    });
  }

  /** Opens the device code of a session, if it is there. @throws {PosternError} `vault.ciphertext_invalid` */
  async openDeviceCode(owner: CredentialOwner, sessionId: string): Promise<DeviceCode | undefined> {
    return await this.#open(owner, deviceCodeOf(sessionId), DeviceCode);
  }

  async #insert(owner: CredentialOwner, { name, expiresAtMs, value }: Waiting) {
    const { tenantId, connectionId } = owner;
    const binding = bindingOf(owner, 0, `pending_token_set/${name}`);
    const key = { tenantId, connectionId, sessionId: name };
    return await this.#dataKeys.store(
      { tenantId, ownerId: connectionId },
      {
        seal: (dataKey) => ({ ciphertext: sealJson(dataKey, binding, value) }),
        insert: async (em, sealed) => {
          const row = { ...key, credentialId: newId('credential'), ...sealed, expiresAt: new Date(expiresAtMs) };
          await em.upsert(PendingCredentialTable, row, { onConflictAction: 'ignore' });
          const stored = await em.findOneOrFail(PendingCredentialTable, key, { refresh: true });
          return { credentialId: stored.credentialId };
        },
      },
    );
  }

  async #open<T>(owner: CredentialOwner, name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const { tenantId, connectionId } = owner;
    const found = await this.find(owner, name);
    if (found === null) return undefined;
    const binding = bindingOf(owner, 0, `pending_token_set/${name}`);
    return await this.#dataKeys.use(
      { tenantId, ownerId: connectionId },
      {
        kind: binding.kind,
        read: async (again) => (again ? await this.find(owner, name) : found) ?? found,
        open: (dataKey, { ciphertext }) => openJson(dataKey, { binding, sealed: ciphertext, schema }),
      },
    );
  }

  async find({ tenantId, connectionId }: CredentialOwner, sessionId: string): Promise<PendingCredentialRow | null> {
    return await this.#database.inTenant(tenantId, (em) =>
      em.findOne(PendingCredentialTable, { tenantId, connectionId, sessionId }),
    );
  }

  /** Seals every one under the owner's next data key, within the caller's transaction. */
  async reseal(
    em: EntityManager,
    owner: CredentialOwner,
    to: { keyGeneration: number; reseal: Reseal },
  ): Promise<void> {
    const { tenantId, connectionId } = owner;
    for (const { sessionId, ciphertext } of await em.find(PendingCredentialTable, { tenantId, connectionId })) {
      const binding = bindingOf(owner, 0, `pending_token_set/${sessionId}`);
      await em.nativeUpdate(
        PendingCredentialTable,
        { tenantId, connectionId, sessionId },
        { ciphertext: to.reseal(binding, ciphertext), keyGeneration: to.keyGeneration },
      );
    }
  }

  /** Takes one away, within the caller's transaction. */
  async remove(em: EntityManager, { tenantId, connectionId }: ConnectionRef, sessionId?: string): Promise<void> {
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
