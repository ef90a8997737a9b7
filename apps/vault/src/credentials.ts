import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { newId, PosternError, type TokenSet } from '@postern/contracts';
import { LRUCache } from 'lru-cache';

import { DataKeys } from './data-keys.ts';
import { AccessPart, bindingOf, openJson, RefreshPart, sealJson, type CredentialOwner } from './sealed-token-set.ts';
import { CredentialTable, type CredentialRow } from './tables.ts';
import { VaultDatabase } from './vault-database.ts';
import { vaultLimits } from './vault-limits.ts';

/** A new version, and what must still be so for it to be written. */
export interface NextCredential {
  readonly owner: CredentialOwner;
  /** The newest version in the table when the log was asked whether this set is welcome; 0 for none. */
  readonly newestVersion: number;
  /** The version that the log calls current; what is older is let go. */
  readonly currentVersion: number;
  readonly boughtBy: string;
  readonly tokenSet: TokenSet;
  readonly refreshTokenRotated: boolean;
  /** Within the same transaction, before the row is written. */
  readonly alongside?: ((em: EntityManager) => Promise<void>) | undefined;
}

/** A stored version, without its secrets. */
export interface StoredCredential extends Omit<AccessPart, 'accessToken' | 'tokenType'> {
  readonly credentialId: string;
  readonly version: number;
  readonly hasRefreshToken: boolean;
}

/** The credentials of connections: rows, and what they hold when they are opened in their place. */
@Injectable()
export class Credentials implements OnApplicationShutdown {
  readonly #database: VaultDatabase;
  readonly #dataKeys: DataKeys;
  readonly #ciphertexts = new LRUCache<string, Uint8Array>({
    max: vaultLimits.ciphertextsCachedMax,
    ttl: vaultLimits.ciphertextCachedMsMax,
    ttlResolution: vaultLimits.cacheClockMs,
  });

  constructor(database: VaultDatabase, dataKeys: DataKeys) {
    this.#database = database;
    this.#dataKeys = dataKeys;
  }

  /** The newest version in the table, recorded in the log or not; 0 for none. */
  async newestVersion({ tenantId, connectionId }: Pick<CredentialOwner, 'tenantId' | 'connectionId'>): Promise<number> {
    return await this.#database.inTenant(tenantId, (em) => newestVersionIn(em, { tenantId, connectionId }));
  }

  /** What this claim or session bought, if it is stored as a version. */
  async boughtBy(owner: CredentialOwner, boughtBy: string): Promise<StoredCredential | undefined> {
    const { tenantId, connectionId } = owner;
    const row = await this.#find(owner, { tenantId, connectionId, boughtBy });
    if (row === null) return undefined;
    const {
      accessToken: _token,
      tokenType: _type,
      ...rest
    } = await this.#openAccess(owner, row.version, row.accessCiphertext);
    const { credentialId, version, refreshCiphertext } = row;
    return { credentialId, version, hasRefreshToken: (refreshCiphertext ?? null) !== null, ...rest };
  }

  /**
   * Writes the next version, but only while the newest one is the one the caller has seen: what the log said of it
   * might not hold any more after another one was stored.
   *
   * @returns undefined when another was stored meanwhile: ask the log again.
   * @throws {PosternError} `connection.deleted` when the connection's key was shredded.
   */
  async insertNext(next: NextCredential): Promise<{ credentialId: string; version: number } | undefined> {
    const { owner, newestVersion, currentVersion, boughtBy } = next;
    const { tenantId, connectionId } = owner;
    const version = newestVersion + 1;
    const credentialId = newId('credential');
    const sealed = await this.#seal(next, version);
    try {
      return await this.#database.inTenant(tenantId, async (em) => {
        if ((await newestVersionIn(em, owner)) !== newestVersion) return undefined;
        await next.alongside?.(em);
        const key = { tenantId, connectionId };
        await em.insert(CredentialTable, { ...key, version, boughtBy, credentialId, ...sealed, createdAt: new Date() });
        await em.nativeDelete(CredentialTable, { ...key, version: { $lt: currentVersion } });
        return { credentialId, version };
      });
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException) return undefined;
      throw error;
    }
  }

  /** The access token of a version. @throws {PosternError} `vault.credential_missing`, `vault.ciphertext_invalid` */
  async openAccess(owner: CredentialOwner, version: number): Promise<AccessPart> {
    const name = nameOf(owner, version);
    const cached = this.#ciphertexts.get(name);
    if (cached !== undefined) return await this.#openAccess(owner, version, cached);
    // The key is fetched beside the row: the first lease of a connection waits for both.
    const [{ accessCiphertext }] = await Promise.all([this.#row(owner, version), this.#dataKeys.fetch(keyOf(owner))]);
    this.#ciphertexts.set(name, accessCiphertext);
    return await this.#openAccess(owner, version, accessCiphertext);
  }

  /** The same from memory alone; undefined where that does not hold both the ciphertext and its key. */
  peekAccess(owner: CredentialOwner, version: number): AccessPart | undefined {
    const sealed = this.#ciphertexts.get(nameOf(owner, version));
    if (sealed === undefined) return undefined;
    const binding = bindingOf(owner, version, 'access_token');
    return this.#dataKeys.peek(keyOf(owner), (dataKey) => openJson(dataKey, { binding, sealed, schema: AccessPart }));
  }

  /** The refresh token of a version, or undefined when it has none; throws as `openAccess`. */
  async openRefresh(owner: CredentialOwner, version: number): Promise<RefreshPart | undefined> {
    const sealed = (await this.#row(owner, version)).refreshCiphertext ?? null;
    if (sealed === null) return undefined;
    const binding = bindingOf(owner, version, 'refresh_token');
    return await this.#dataKeys.use(keyOf(owner), (dataKey) =>
      openJson(dataKey, { binding, sealed, schema: RefreshPart }),
    );
  }

  /** Takes away every version, within the caller's transaction; call `forget` once that has ended. */
  async removeAll(em: EntityManager, { tenantId, connectionId }: CredentialOwner): Promise<void> {
    await em.nativeDelete(CredentialTable, { tenantId, connectionId });
  }

  /** Takes away what one buyer stored, within the caller's transaction. */
  async removeBoughtBy(
    em: EntityManager,
    { tenantId, connectionId }: CredentialOwner,
    boughtBy: string,
  ): Promise<void> {
    await em.nativeDelete(CredentialTable, { tenantId, connectionId, boughtBy });
  }

  forget({ tenantId, connectionId }: CredentialOwner): void {
    const prefix = `${tenantId}/${connectionId}/`;
    for (const name of this.#ciphertexts.keys()) if (name.startsWith(prefix)) this.#ciphertexts.delete(name);
  }

  onApplicationShutdown(): void {
    this.#ciphertexts.clear();
  }

  async #seal({ owner, tokenSet, refreshTokenRotated }: NextCredential, version: number) {
    const { refreshToken, ...access } = tokenSet;
    const { grantedScopes } = access;
    return await this.#dataKeys.useOrMake(keyOf(owner), (dataKey) => ({
      accessCiphertext: sealJson(dataKey, bindingOf(owner, version, 'access_token'), {
        ...access,
        refreshTokenRotated,
      }),
      refreshCiphertext:
        refreshToken === null
          ? null
          : sealJson(dataKey, bindingOf(owner, version, 'refresh_token'), { refreshToken, grantedScopes }),
    }));
  }

  async #openAccess(owner: CredentialOwner, version: number, sealed: Uint8Array): Promise<AccessPart> {
    const binding = bindingOf(owner, version, 'access_token');
    return await this.#dataKeys.use(keyOf(owner), (dataKey) =>
      openJson(dataKey, { binding, sealed, schema: AccessPart }),
    );
  }

  async #row(owner: CredentialOwner, version: number): Promise<CredentialRow> {
    const { tenantId, connectionId } = owner;
    const row = await this.#find(owner, { tenantId, connectionId, version });
    if (row !== null) return row;
    throw new PosternError('vault.credential_missing', `Version ${version} of the credential is not stored.`);
  }

  async #find({ tenantId }: CredentialOwner, where: Partial<CredentialRow>): Promise<CredentialRow | null> {
    return await this.#database.inTenant(tenantId, (em) => em.findOne(CredentialTable, where));
  }
}

function nameOf({ tenantId, connectionId }: CredentialOwner, version: number): string {
  return `${tenantId}/${connectionId}/${version}`;
}

function keyOf({ tenantId, connectionId }: CredentialOwner) {
  return { tenantId, ownerId: connectionId };
}

async function newestVersionIn(
  em: EntityManager,
  { tenantId, connectionId }: Pick<CredentialOwner, 'tenantId' | 'connectionId'>,
): Promise<number> {
  const newest = await em.findOne(
    CredentialTable,
    { tenantId, connectionId },
    { orderBy: { version: 'desc' }, fields: ['version'] },
  );
  return newest?.version ?? 0;
}
