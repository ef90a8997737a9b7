import type { PosternError } from '@postern/contracts';

/** Length of a data key: AES-256. */
export const dataKeyBytes = 32;

/** Whose key-encryption key is meant: every tenant has its own. */
export interface TenantScope {
  /** `ten_…` */
  readonly tenantId: string;
}

/** A data key as it is stored: encrypted under its tenant's key. */
export interface WrappedDataKey extends TenantScope {
  /** Opaque text that names the version of the key that wrapped it (`local:v1:…`, `vault:v3:…`). */
  readonly wrapped: string;
}

/** A fresh data key in both forms; zero the plaintext when it is not needed any more. */
export interface DataKey {
  readonly plaintext: Buffer;
  readonly wrapped: string;
}

/** One answer of many: a key that does not open must not hide those that do. */
export type UnwrapResult =
  | { readonly ok: true; readonly plaintext: Buffer }
  | { readonly ok: false; readonly error: PosternError };

/** What a key service says of itself. */
export interface KeyServiceStatus {
  readonly kind: KeyService['kind'];
  /** May it be asked to wrap and unwrap now? */
  readonly ready: boolean;
  /** The key versions that still open and the one that wraps; of the tenant asked about, where tenants differ. */
  readonly keyVersions?: { readonly oldest: number; readonly latest: number };
  /** Why it is not ready, in words for an operator. */
  readonly reason?: string;
}

/**
 * The port to whatever holds the key-encryption keys: envelope encryption, one key a tenant.
 *
 * Shaped so that a key service may be remote and may refuse to show its keys (transit `datakey`, batch
 * `decrypt`, `rewrap`; a cloud KMS): only data keys cross it, and a batch is of one tenant, since that is one
 * key's. A data key wrapped for one tenant never opens for another.
 *
 * Every method throws {PosternError} `vault.key_service_unavailable` when the service cannot be asked (try later),
 * `vault.ciphertext_invalid` when a wrapped key does not open for this tenant (never will), and
 * `request.malformed` when `tenantId` is no tenant id.
 */
export interface KeyService {
  readonly kind: 'local' | 'transit';

  /** A new data key, for one connection or registration. */
  generateDataKey(of: TenantScope): Promise<DataKey>;

  /** Opens one wrapped data key. */
  unwrapDataKey(key: WrappedDataKey): Promise<Buffer>;

  /** Opens many of one tenant in as few calls as the service allows. @returns one result a key, in their order. */
  unwrapMany(keys: TenantScope & { readonly wrapped: readonly string[] }): Promise<readonly UnwrapResult[]>;

  /** Wraps the same data key under the tenant's latest key version; the data it encrypts stays untouched. */
  rewrap(key: WrappedDataKey): Promise<string>;

  /** Never throws for a service that is down: that is an answer. */
  status(of?: TenantScope): Promise<KeyServiceStatus>;

  /** Forgets keys and connections; afterwards every other method is `vault.key_service_unavailable`. */
  close(): Promise<void>;
}
