import { PosternError } from '@postern/contracts';
import type { KeyAdministration, RetireBefore } from './key-administration.ts';
import type { KeyServiceStatus, TenantScope } from './key-service.ts';
import { demand, noTenantKey, readTransitKey, transitPath, transitStatus, type TransitKey } from './transit-keys.ts';
import { VaultSession, type VaultAccess } from './vault-session.ts';

const keyType = 'aes256-gcm96';

/**
 * What is done to the tenants' keys in transit by whoever provisions, under a role of its own. It can make, rotate and
 * trim; it cannot read key material, use a key, or delete one: keys are made undeletable and no policy of ours changes
 * that.
 *
 * @throws {PosternError} `config.invalid` as `transitKeyService` does.
 */
export async function transitKeyAdministration(access: VaultAccess): Promise<KeyAdministration> {
  return new TransitKeyAdministration(access, await VaultSession.open(access));
}

class TransitKeyAdministration implements KeyAdministration {
  readonly #access: VaultAccess;
  readonly #session: VaultSession;

  constructor(access: VaultAccess, session: VaultSession) {
    this.#access = access;
    this.#session = session;
  }

  async ensureTenantKey({ tenantId }: TenantScope): Promise<void> {
    if (await readTransitKey(this.#session, this.#access, tenantId)) return;
    // Transit leaves a key that another one made meanwhile as it is; it can be neither exported nor deleted.
    await this.#change(tenantId, 'keys/+', { type: keyType });
  }

  async rotate({ tenantId }: TenantScope): Promise<number> {
    await this.#key(tenantId);
    const path = transitPath(this.#access, 'keys/+/rotate', tenantId);
    demand(await this.#session.call({ method: 'POST', path, body: {}, once: true }));
    return (await this.#key(tenantId)).latestVersion;
  }

  async retireBefore({ tenantId, version }: RetireBefore): Promise<void> {
    const key = await this.#key(tenantId);
    if (!Number.isInteger(version) || version < 1 || version > key.latestVersion) {
      throw new PosternError(
        'request.malformed',
        `There is no version ${version}; the latest is ${key.latestVersion}.`,
      );
    }
    // Transit trims only below both minima, so both are raised first; none is ever lowered.
    if (key.minDecryptionVersion < version || key.minEncryptionVersion < version) {
      await this.#change(tenantId, 'keys/+/config', {
        min_decryption_version: Math.max(version, key.minDecryptionVersion),
        min_encryption_version: Math.max(version, key.minEncryptionVersion),
      });
    }
    if (Math.max(1, key.minAvailableVersion) >= version) return;
    await this.#change(tenantId, 'keys/+/trim', { min_available_version: version });
  }

  async status({ tenantId }: TenantScope): Promise<KeyServiceStatus> {
    return await transitStatus(this.#session, this.#access, {
      tenantId,
      oldestOf: ({ minAvailableVersion }) => Math.max(1, minAvailableVersion),
    });
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async #key(tenantId: string): Promise<TransitKey> {
    const key = await readTransitKey(this.#session, this.#access, tenantId);
    if (key) return key;
    throw noTenantKey(tenantId);
  }

  async #change(tenantId: string, area: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    demand(await this.#session.call({ method: 'POST', path: transitPath(this.#access, area, tenantId), body }));
  }
}
