import { hkdfSync } from 'node:crypto';
import { framed, zero } from '@postern/crypto';

/** Length of a tenant's key: AES-256. @internal */
export const tenantKeyBytes = 32;

/** The versions of a tenant's key whose material exists. */
export interface KeyVersions {
  readonly oldest: number;
  readonly latest: number;
}

/** Keys by version, at least one. @internal */
export type VersionedKeys = ReadonlyMap<number, Buffer>;

/**
 * Every tenant's keys as they stand in memory, until they are wiped.
 *
 * @internal
 */
export interface KeyRing {
  /** A copy that the caller zeroes; undefined when that version is not there. */
  copyOf(tenantId: string, version: number): Buffer | undefined;
  versionsOf(tenantId: string): KeyVersions | undefined;
  wipe(): void;
}

/** A ring in which every tenant has keys of its own, so that one tenant's version can go and touch nobody else. @internal */
export class TenantKeyRing implements KeyRing {
  readonly tenants: ReadonlyMap<string, VersionedKeys>;

  constructor(tenants: ReadonlyMap<string, VersionedKeys>) {
    this.tenants = tenants;
  }

  copyOf(tenantId: string, version: number): Buffer | undefined {
    const key = this.tenants.get(tenantId)?.get(version);
    return key && Buffer.from(key);
  }

  versionsOf(tenantId: string): KeyVersions | undefined {
    const keys = this.tenants.get(tenantId);
    return keys && versionsIn(keys);
  }

  wipe(): void {
    for (const keys of this.tenants.values()) for (const key of keys.values()) zero(key);
  }
}

/**
 * The ring of a file of format 1: every tenant's key is derived from a master key, so no version of one tenant can go
 * alone. Read still, never written.
 *
 * @source RFC 5869
 * @internal
 */
export class MasterKeyRing implements KeyRing {
  readonly #masterKeys: VersionedKeys;

  constructor(masterKeys: VersionedKeys) {
    this.#masterKeys = masterKeys;
  }

  copyOf(tenantId: string, version: number): Buffer | undefined {
    const masterKey = this.#masterKeys.get(version);
    if (!masterKey) return undefined;
    const info = framed('postern tenant key v1', tenantId);
    return Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), info, tenantKeyBytes));
  }

  versionsOf(_tenantId: string): KeyVersions {
    return versionsIn(this.#masterKeys);
  }

  /** The keys that a tenant has had so far, as keys of its own: what they wrapped still opens. */
  tenantKeys(tenantId: string): VersionedKeys {
    const versions = [...this.#masterKeys.keys()];
    return new Map(versions.map((version) => [version, this.copyOf(tenantId, version) as Buffer]));
  }

  wipe(): void {
    for (const key of this.#masterKeys.values()) zero(key);
  }
}

function versionsIn(keys: VersionedKeys): KeyVersions {
  return { oldest: Math.min(...keys.keys()), latest: Math.max(...keys.keys()) };
}
