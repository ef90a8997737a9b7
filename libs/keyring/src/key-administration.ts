import type { KeyServiceStatus, TenantScope } from './key-service.ts';

/** Versions of a tenant's key-encryption key before this one are meant to go. */
export interface RetireBefore extends TenantScope {
  /** The oldest version that stays; 1 or more, and never beyond the latest. */
  readonly version: number;
}

/**
 * What is done to key-encryption keys by whoever provisions, never by the vault: a service that could make its key's
 * old versions go, or the key itself, could destroy every credential (DESIGN §6).
 *
 * Every method may be repeated: asked again after a crash it finishes what is left. Every method throws
 * {PosternError} `vault.key_service_unavailable` when the service cannot be asked or, but for `ensureTenantKey` and
 * `status`, the tenant has no key yet; and `request.malformed` when `tenantId` is no tenant id.
 */
export interface KeyAdministration {
  /**
   * Makes the tenant's key where there is none.
   *
   * @effect Nothing where there is one.
   */
  ensureTenantKey(of: TenantScope): Promise<void>;

  /**
   * Adds a version to the tenant's key: data keys are wrapped by it from then on, the older versions open as before.
   *
   * @returns the new version.
   */
  rotate(of: TenantScope): Promise<number>;

  /**
   * Lets versions go for ever: first they do not open any more, then their material is gone (transit
   * `min_decryption_version`, then `trim`). Whatever is still wrapped by one of them is lost; rewrap before. A version
   * that is not older than the oldest changes nothing.
   *
   * @throws {PosternError} `request.malformed` for a version below 1, beyond the latest, or no whole number.
   */
  retireBefore(of: RetireBefore): Promise<void>;

  /** As {@link KeyServiceStatus} says; `keyVersions.oldest` is the oldest version whose material exists. */
  status(of: TenantScope): Promise<KeyServiceStatus>;

  /** Forgets tokens and connections. */
  close(): Promise<void>;
}
