import { assertId, PosternError } from '@postern/contracts';
import { isDone, keyServiceUnavailable, reasonOf, wordsOf, type VaultAnswer } from './vault-client.ts';
import type { KeyServiceStatus } from './key-service.ts';
import { lookupSelf, type VaultAccess, type VaultSession } from './vault-session.ts';

/** A tenant's key in transit, as Vault describes it; the names are Vault's. */
export interface TransitKey {
  readonly latestVersion: number;
  readonly minDecryptionVersion: number;
  readonly minEncryptionVersion: number;
  /** 0 where nothing was trimmed. */
  readonly minAvailableVersion: number;
}

const notFound = 404;

/**
 * The path of something of a tenant's key. The key's name is the tenant's id: a data key wrapped for one tenant is
 * asked of its own key alone, and opens under no other.
 *
 * @throws {PosternError} `request.malformed` before anything else could stand in the path.
 */
export function transitPath({ mount = 'transit' }: Pick<VaultAccess, 'mount'>, area: string, tenantId: string): string {
  assertId('tenant', tenantId);
  return `${mount}/${area.replace('+', tenantId)}`;
}

/** @returns undefined where the tenant has no key. @throws {PosternError} `vault.key_service_unavailable` */
export async function readTransitKey(
  session: VaultSession,
  access: VaultAccess,
  tenantId: string,
): Promise<TransitKey | undefined> {
  const answer = await session.call({ method: 'GET', path: transitPath(access, 'keys/+', tenantId) });
  // A mount that is missing is not found either, but in words.
  if (answer.status === notFound && !isArrayOfWords(answer.body['errors'])) return undefined;
  return transitKeyIn(demand(answer));
}

/** What an answer holds. @throws {PosternError} `vault.key_service_unavailable` when it was a refusal. */
export function demand(answer: VaultAnswer): Readonly<Record<string, unknown>> {
  const { data } = answer.body;
  if (isDone(answer)) return typeof data === 'object' && data !== null ? (data as Record<string, unknown>) : {};
  throw keyServiceUnavailable(`Vault answered ${answer.status}: ${wordsOf(answer)}`);
}

function transitKeyIn(data: Readonly<Record<string, unknown>>): TransitKey {
  const numberAt = (name: string): number => {
    const value = data[name];
    if (typeof value === 'number') return value;
    throw keyServiceUnavailable(`Vault's answer lacks ${name}: what answers is no transit engine`);
  };
  return {
    latestVersion: numberAt('latest_version'),
    minDecryptionVersion: numberAt('min_decryption_version'),
    minEncryptionVersion: numberAt('min_encryption_version'),
    minAvailableVersion: numberAt('min_available_version'),
  };
}

function isArrayOfWords(errors: unknown): boolean {
  return Array.isArray(errors) && errors.length > 0;
}

/** Not for ever: it may be made at any moment. */
export function noTenantKey(tenantId: string): PosternError {
  return keyServiceUnavailable(`Transit has no key of tenant ${tenantId}; whoever provisions makes it`);
}

/**
 * Asks as the role itself whether it may ask: of its own token, or of a tenant's key.
 *
 * @param oldestOf which version is called the oldest.
 */
export async function transitStatus(
  session: VaultSession,
  access: VaultAccess,
  { tenantId, oldestOf }: { tenantId?: string | undefined; oldestOf: (key: TransitKey) => number },
): Promise<KeyServiceStatus> {
  const kind = 'transit';
  try {
    if (tenantId === undefined) {
      demand(await session.call({ method: 'GET', path: lookupSelf }));
      return { kind, ready: true };
    }
    const key = await readTransitKey(session, access, tenantId);
    if (!key) throw noTenantKey(tenantId);
    return { kind, ready: true, keyVersions: { oldest: oldestOf(key), latest: key.latestVersion } };
  } catch (error) {
    if (error instanceof PosternError && error.code === 'vault.key_service_unavailable') {
      return { kind, ready: false, reason: reasonOf(error) };
    }
    throw error;
  }
}
