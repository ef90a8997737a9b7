import type { EntityManager } from '@mikro-orm/postgresql';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { limits, newId, PosternError, type TokenSet } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { isUniqueViolation } from '@postern/persistence';
import { LRUCache } from 'lru-cache';

import { insertVersion, insertVersionQuery, newestIn, versionsOf, type StoredVersion } from './credential-rows.ts';
import { DataKeys, keyNameOf, type SealedRow } from './data-keys.ts';
import { SealedRows, type FoundRows } from './sealed-rows.ts';
import {
  type AccessPart,
  bindingOf,
  openJson,
  RefreshPart,
  SealedAccess,
  sealJson,
  type AccessTerms,
  type ConnectionRef,
  type CredentialOwner,
  type Reseal,
} from './sealed-token-set.ts';
import { CredentialTable } from './tables.ts';
import { TenantBatches } from './tenant-batches.ts';
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

/** The sealed access token of a version as it stays in memory. */
interface KeptAccess extends SealedRow {
  readonly version: number;
  readonly providerId: string;
  readonly keyName: string;
  readonly access: SealedAccess;
  /** Not beyond this, nor once it was thrown away, whoever holds it. */
  readonly endsMs: number;
  isKept: boolean;
  /** How often it was found beside a state. */
  uses: number;
}

/** So often what is found beside a state is looked for by its name, or it would seem that nobody uses it. */
const usesUnseenMax = 16;

/** An access token in memory that was opened before, and nothing of it in the clear. */
export interface KnownAccess {
  readonly terms: AccessTerms;
  /**
   * Opens it for as long as `use` runs, which may keep nothing of it.
   *
   * @returns undefined where its data key has left memory since, or does not open it: {@link Credentials.openAccess} says why.
   */
  readonly withToken: <T>(use: (token: Uint8Array) => T) => T | undefined;
}

type Made = Pick<StoredVersion, 'version' | 'boughtBy' | 'credentialId'>;

/** A stored version, without its secrets. */
export interface StoredCredential extends Omit<
  AccessPart,
  'accessToken' | 'tokenType' | 'renewable' | 'sentAs' | 'identity' | 'authorizationDetails'
> {
  readonly credentialId: string;
  readonly version: number;
  readonly hasRefreshToken: boolean;
}

/** The credentials of connections: rows, and what they hold when they are opened in their place. */
@Injectable()
export class Credentials implements OnApplicationShutdown {
  readonly #rows: SealedRows;
  readonly #dataKeys: DataKeys;
  readonly #versions: TenantBatches<string, StoredVersion[]>;
  readonly #ciphertexts = new LRUCache<string, KeptAccess>({
    max: vaultLimits.ciphertextsCachedMax,
    ttl: vaultLimits.ciphertextCachedMsMax,
    ttlResolution: vaultLimits.cacheClockMs,
    dispose: (kept) => (kept.isKept = false),
  });
  /** The same by the states that said which version counts: spelling the name and looking for it takes many times as long. */
  readonly #byState = new WeakMap<Connection, KeptAccess>();

  /** What was read of a connection to release its refresh token, for whoever brings the next soon after. */
  readonly #forStore = new LRUCache<string, StoredVersion[]>({
    max: vaultLimits.releasesKnownMax,
    ttl: limits.claimTimeoutMs,
    ttlResolution: vaultLimits.cacheClockMs,
  });

  constructor(database: VaultDatabase, rows: SealedRows, dataKeys: DataKeys) {
    this.#rows = rows;
    this.#dataKeys = dataKeys;
    this.#versions = new TenantBatches(
      (tenantId, connectionIds) => versionsOf(database, tenantId, connectionIds),
      vaultLimits.versionBatches,
    );
  }

  /**
   * Every version in the table, recorded in the log or not, the oldest first; read after it is asked for, with what
   * others of the tenant ask for at the same time.
   */
  async versions({ tenantId, connectionId }: ConnectionRef): Promise<StoredVersion[]> {
    return await this.#versions.ask(tenantId, connectionId);
  }

  /** What {@link openForSpending} read a while ago, once; it may be old by now. */
  takeKnown(ref: ConnectionRef): readonly StoredVersion[] | undefined {
    const name = connectionOf(ref);
    const known = this.#forStore.get(name);
    this.#forStore.delete(name);
    return known;
  }

  /** What this claim or session bought, if it is stored as a version. */
  async boughtBy(owner: CredentialOwner, boughtBy: string): Promise<StoredCredential | undefined> {
    const row = (await this.versions(owner)).find((one) => one.boughtBy === boughtBy);
    if (row === undefined) return undefined;
    const opened = await this.#openAccess(owner, row.version);
    const { accessToken: _token, tokenType: _type, sentAs: _place, identity: _identity, ...told } = opened;
    const { authorizationDetails: _details, renewable, ...rest } = told;
    const { credentialId, version, refreshCiphertext } = row;
    return { credentialId, version, hasRefreshToken: refreshCiphertext !== null && renewable !== true, ...rest };
  }

  /**
   * Writes the next version, but only while the newest one is the one the caller has seen: what the log said of it
   * might not hold any more after another one was stored.
   *
   * @returns undefined when another was stored meanwhile: ask the log again.
   * @throws {PosternError} `connection.deleted` when the connection's key was shredded.
   */
  async insertNext(next: NextCredential): Promise<{ credentialId: string; version: number } | undefined> {
    const version = next.newestVersion + 1;
    const made = { version, boughtBy: next.boughtBy, credentialId: newId('credential') };
    try {
      const isStored =
        next.alongside === undefined ? await this.#insert(next, made) : await this.#insertWith(next, made);
      return isStored ? { credentialId: made.credentialId, version } : undefined;
    } catch (error) {
      if (isUniqueViolation(error)) return undefined;
      throw error;
    }
  }

  async #insert(next: NextCredential, made: Made): Promise<boolean> {
    const { owner, newestVersion, currentVersion } = next;
    const rows = await this.#dataKeys.storeByQuery(keyOf(owner), {
      seal: (dataKey) => sealedParts(dataKey, next, made.version),
      query: (sealed) => insertVersionQuery(owner, { row: { ...made, ...sealed }, newestVersion, currentVersion }),
    });
    return rows.length > 0;
  }

  async #insertWith(next: NextCredential, made: Made): Promise<boolean> {
    const { owner, currentVersion, alongside } = next;
    return await this.#dataKeys.store(keyOf(owner), {
      seal: (dataKey) => sealedParts(dataKey, next, made.version),
      insert: async (em, sealed) => {
        if ((await newestIn(em, owner)) !== next.newestVersion) return false;
        await alongside?.(em);
        // What goes alongside may have taken the newest away.
        const newestVersion = await newestIn(em, owner);
        return await insertVersion(em, owner, { row: { ...made, ...sealed }, newestVersion, currentVersion });
      },
    });
  }

  /**
   * Begins to read what a first lease needs of the tables, and then to have its data key unwrapped, while the log is asked
   * which version counts: no token is opened. Undefined where memory is likely to do.
   */
  readAhead(ref: ConnectionRef): Promise<FoundRows> | undefined {
    const owner = keyOf(ref);
    if (this.#dataKeys.has(owner)) return undefined;
    const reading = this.#rows.find(owner);
    // Where the lease is refused meanwhile, nobody waits for it.
    reading.then(({ key }) => this.#dataKeys.loadAhead(owner, key)).catch(() => undefined);
    return reading;
  }

  /**
   * The access token of a version.
   *
   * @param ahead what {@link readAhead} began; it is read anew where it holds another version.
   * @throws {PosternError} `vault.credential_missing`, `vault.ciphertext_invalid`
   */
  async openAccess(owner: CredentialOwner, version: number, ahead?: Promise<FoundRows>): Promise<AccessPart> {
    return await this.#openAccess(owner, version, { cached: true, ahead });
  }

  /** Is it as good as certain that {@link openAccess} opens it: its rows were found ahead, and the key service is well? */
  async isAboutToOpen(version: number, ahead: Promise<FoundRows> | undefined): Promise<boolean> {
    const { key, access } = (await ahead?.catch(() => undefined)) ?? {};
    const isWhole = access?.version === version && access.keyGeneration === key?.generation && key.wrapped !== null;
    return isWhole && this.#dataKeys.isKeyServiceWell;
  }

  /** What memory knows of it; undefined where that does not hold both the ciphertext and its key, or it was never opened. */
  peekAccess(state: Connection, version: number): KnownAccess | undefined {
    const kept = this.#peekKept(state, version);
    if (kept === undefined) return undefined;
    const { access } = kept;
    const { terms } = access;
    const held = terms && this.#dataKeys.peek(kept.keyName, kept);
    return held && { terms, withToken: (use) => held.open((dataKey) => access.withToken(dataKey, use)) };
  }

  #peekKept(state: Connection, version: number): KeptAccess | undefined {
    const near = this.#byState.get(state);
    const isNear = near?.isKept === true && near.version === version && (near.uses += 1) % usesUnseenMax !== 0;
    const kept = isNear ? near : this.#ciphertexts.get(nameOf(state, version));
    // Whose it is says the log, each time.
    if (kept?.providerId !== state.providerId || kept.endsMs <= performance.now()) return undefined;
    if (kept !== near) this.#byState.set(state, kept);
    return kept;
  }

  /**
   * The refresh token of a version, or what stands in its place, or undefined when it has neither; throws as `openAccess`.
   *
   * @param known what {@link versions} gave a moment ago; read anew where it does not do.
   */
  async openRefresh(
    owner: CredentialOwner,
    version: number,
    known: readonly StoredVersion[] = [],
  ): Promise<RefreshPart | undefined> {
    const binding = bindingOf(owner, version, 'refresh_token');
    const inKnown = known.find((one) => one.version === version);
    return await this.#dataKeys.use(keyOf(owner), {
      kind: binding.kind,
      readsKey: true,
      read: async (again) => (again ? undefined : inKnown) ?? (await this.#stored(owner, version)),
      open: (dataKey, { refreshCiphertext: sealed }) =>
        sealed === null ? undefined : openJson(dataKey, { binding, sealed, schema: RefreshPart }),
    });
  }

  /**
   * The refresh token of a version that is about to be spent: what was read is kept for {@link takeKnown}.
   *
   * @param mayHaveSpent claims that had it before, and of which nobody knows what they bought
   * @throws {PosternError} `vault.version_stale` where the table holds what one of them bought
   */
  async openForSpending(
    owner: CredentialOwner,
    version: number,
    mayHaveSpent: readonly string[] = [],
  ): Promise<RefreshPart | undefined> {
    const stored = await this.versions(owner);
    if (stored.some(({ boughtBy }) => mayHaveSpent.includes(boughtBy))) {
      throw new PosternError('vault.version_stale', 'A claim that counted as interrupted has bought the next version.');
    }
    const part = await this.openRefresh(owner, version, stored);
    this.#forStore.set(connectionOf(owner), stored);
    return part;
  }

  /** Takes away every version, within the caller's transaction; call `forget` once that has ended. */
  async removeAll(em: EntityManager, { tenantId, connectionId }: ConnectionRef): Promise<void> {
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

  /** Seals every version under the owner's next data key, within the caller's transaction; then call `forget`. */
  async reseal(
    em: EntityManager,
    owner: CredentialOwner,
    to: { keyGeneration: number; reseal: Reseal },
  ): Promise<void> {
    const { tenantId, connectionId } = owner;
    for (const row of await em.find(CredentialTable, { tenantId, connectionId })) {
      const { version, accessCiphertext, refreshCiphertext } = row;
      const refresh = refreshCiphertext ?? null;
      await em.nativeUpdate(
        CredentialTable,
        { tenantId, connectionId, version },
        {
          accessCiphertext: to.reseal(bindingOf(owner, version, 'access_token'), accessCiphertext),
          refreshCiphertext: refresh && to.reseal(bindingOf(owner, version, 'refresh_token'), refresh),
          keyGeneration: to.keyGeneration,
        },
      );
    }
  }

  forget({ tenantId, connectionId }: ConnectionRef): void {
    const prefix = `${connectionOf({ tenantId, connectionId })}/`;
    this.#forStore.delete(connectionOf({ tenantId, connectionId }));
    for (const name of this.#ciphertexts.keys()) if (name.startsWith(prefix)) this.#ciphertexts.delete(name);
  }

  onApplicationShutdown(): void {
    this.#ciphertexts.clear();
    this.#forStore.clear();
  }

  async #openAccess(
    owner: CredentialOwner,
    version: number,
    { cached = false, ahead }: { cached?: boolean; ahead?: Promise<FoundRows> | undefined } = {},
  ): Promise<AccessPart> {
    return await this.#dataKeys.use(keyOf(owner), {
      kind: 'access_token',
      readsKey: true,
      read: (again) => this.#sealedAccess(owner, version, again ? {} : { cached, ahead }),
      open: (dataKey, { access }) => access.open(dataKey),
    });
  }

  async #sealedAccess(
    owner: CredentialOwner,
    version: number,
    { cached = false, ahead }: { cached?: boolean; ahead?: Promise<FoundRows> | undefined },
  ): Promise<KeptAccess> {
    const name = nameOf(owner, version);
    const known = cached ? this.#ciphertexts.get(name) : undefined;
    if (known?.providerId === owner.providerId) return known;
    const readAhead = await ahead;
    const isIt = readAhead?.access?.version === version;
    const { key, access: row } = isIt ? readAhead : await this.#rows.find(keyOf(owner), version);
    if (row === undefined) throw missing(version);
    const { providerId } = owner;
    const { keyGeneration, sealed } = row;
    const kept: KeptAccess = {
      ...{ version, providerId, keyName: keyNameOf(keyOf(owner)), keyGeneration },
      access: new SealedAccess(owner, version, sealed),
      ...{ endsMs: performance.now() + vaultLimits.ciphertextCachedMsMax, isKept: true, uses: 0 },
    };
    this.#ciphertexts.set(name, kept);
    return { ...kept, key };
  }

  async #stored(owner: CredentialOwner, version: number): Promise<StoredVersion> {
    const row = (await this.versions(owner)).find((one) => one.version === version);
    if (row === undefined) throw missing(version);
    return row;
  }
}

function sealedParts(dataKey: Uint8Array, { owner, tokenSet, refreshTokenRotated }: NextCredential, version: number) {
  const { refreshToken: _refreshToken, renewal, ...access } = tokenSet;
  const accessPart: AccessPart = { ...access, refreshTokenRotated, ...(renewal !== undefined && { renewable: true }) };
  const refreshPart = refreshPartOf(tokenSet);
  return {
    accessCiphertext: sealJson(dataKey, bindingOf(owner, version, 'access_token'), accessPart),
    refreshCiphertext:
      refreshPart === null ? null : sealJson(dataKey, bindingOf(owner, version, 'refresh_token'), refreshPart),
  };
}

function refreshPartOf({ refreshToken, renewal, grantedScopes, authorizationDetails }: TokenSet): RefreshPart | null {
  if (renewal !== undefined) return { renewal, grantedScopes };
  return refreshToken === null ? null : { refreshToken, grantedScopes, authorizationDetails };
}

function missing(version: number): PosternError {
  return new PosternError('vault.credential_missing', `Version ${version} of the credential is not stored.`);
}

function nameOf(owner: CredentialOwner, version: number): string {
  return `${connectionOf(owner)}/${version}`;
}

function connectionOf({ tenantId, connectionId }: ConnectionRef): string {
  return `${tenantId}/${connectionId}`;
}

function keyOf({ tenantId, connectionId }: ConnectionRef) {
  return { tenantId, ownerId: connectionId };
}
