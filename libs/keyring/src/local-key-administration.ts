import { randomBytes } from 'node:crypto';
import { assertId, PosternError } from '@postern/contracts';
import type { KeyAdministration, RetireBefore } from './key-administration.ts';
import { changeKeyFile, readKeyRing, type KeyFileAccess } from './key-file.ts';
import { MasterKeyRing, TenantKeyRing, tenantKeyBytes, type KeyRing, type VersionedKeys } from './key-ring.ts';
import type { KeyServiceStatus, TenantScope } from './key-service.ts';

export interface LocalKeyAdministrationOptions extends KeyFileAccess {
  /** Runs one change at a time, whichever process asks: two at once would lose a key. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What the local key file allows beside the port. */
export interface LocalKeyAdministration extends KeyAdministration {
  /**
   * Gives each of these tenants keys of its own in a file of format 1, and lets the master keys go from which they
   * were derived. What they wrapped still opens.
   *
   * @param tenantIds every tenant there is: what was wrapped for another one is lost.
   * @returns whether there was anything to do.
   * @effect Replaces the file in one step.
   */
  upgrade(tenantIds: readonly string[]): Promise<boolean>;
}

/**
 * Changes the tenants' keys in a key file (docs/adr/0010). Running services notice.
 *
 * Every tenant has keys of its own, so one tenant's rotation touches nobody else and a retired version is gone from
 * the file. A copy of the file keeps what it had: old backups of it end with the version they hold.
 */
export function localKeyAdministration(options: LocalKeyAdministrationOptions): LocalKeyAdministration {
  return new LocalAdministration(options);
}

class LocalAdministration implements LocalKeyAdministration {
  readonly #access: KeyFileAccess;
  readonly #exclusively: LocalKeyAdministrationOptions['exclusively'];

  constructor({ exclusively, ...access }: LocalKeyAdministrationOptions) {
    this.#access = access;
    this.#exclusively = exclusively;
  }

  async ensureTenantKey({ tenantId }: TenantScope): Promise<void> {
    assertId('tenant', tenantId);
    await this.#change((ring) => {
      if (ring.versionsOf(tenantId)) return undefined;
      return withKeys(ownKeys(ring), tenantId, new Map([[1, randomBytes(tenantKeyBytes)]]));
    });
  }

  async rotate({ tenantId }: TenantScope): Promise<number> {
    assertId('tenant', tenantId);
    let version = 0;
    await this.#change((ring) => {
      const keys = keysOf(ring, tenantId);
      version = Math.max(...keys.keys()) + 1;
      return withKeys(ownKeys(ring), tenantId, new Map([...keys, [version, randomBytes(tenantKeyBytes)]]));
    });
    return version;
  }

  async retireBefore({ tenantId, version }: RetireBefore): Promise<void> {
    assertId('tenant', tenantId);
    await this.#change((ring) => {
      const keys = keysOf(ring, tenantId);
      const latest = Math.max(...keys.keys());
      if (!Number.isSafeInteger(version) || version < 1 || version > latest) {
        throw new PosternError('request.malformed', `A version from 1 to ${latest} can be the oldest one that stays.`);
      }
      const kept = new Map([...keys].filter(([one]) => one >= version));
      return kept.size === keys.size ? undefined : withKeys(ownKeys(ring), tenantId, kept);
    });
  }

  async status({ tenantId }: TenantScope): Promise<KeyServiceStatus> {
    assertId('tenant', tenantId);
    const ring = await readKeyRing(this.#access);
    const keyVersions = ring.versionsOf(tenantId);
    ring.wipe();
    return keyVersions
      ? { kind: 'local', ready: true, keyVersions }
      : { kind: 'local', ready: false, reason: 'the tenant has no key yet' };
  }

  async upgrade(tenantIds: readonly string[]): Promise<boolean> {
    let upgraded = false;
    await this.#change((ring) => {
      if (!(ring instanceof MasterKeyRing)) return undefined;
      upgraded = true;
      return new Map(tenantIds.map((tenantId) => [assertId('tenant', tenantId), ring.tenantKeys(tenantId)]));
    });
    return upgraded;
  }

  async close(): Promise<void> {}

  async #change(change: Parameters<typeof changeKeyFile>[1]): Promise<void> {
    await this.#exclusively(() => changeKeyFile(this.#access, change));
  }
}

/** @throws {PosternError} `config.invalid` for a file whose tenants cannot rotate apart. */
function ownKeys(ring: KeyRing): ReadonlyMap<string, VersionedKeys> {
  if (ring instanceof TenantKeyRing) return ring.tenants;
  throw new PosternError('config.invalid', 'The key file is of format 1: postern keys rotate upgrades it first.');
}

/** @throws {PosternError} `vault.key_service_unavailable` for a tenant without a key. */
function keysOf(ring: KeyRing, tenantId: string): VersionedKeys {
  const keys = ownKeys(ring).get(tenantId);
  if (keys) return keys;
  throw new PosternError('vault.key_service_unavailable', 'The tenant has no key yet.');
}

function withKeys(tenants: ReadonlyMap<string, VersionedKeys>, tenantId: string, keys: VersionedKeys) {
  return new Map([...tenants, [tenantId, keys]]);
}
