import { randomBytes } from 'node:crypto';
import { assertId, isPosternError, PosternError } from '@postern/contracts';
import { CryptoError, decodeBase64url, decryptAead, encryptAead, framed, zero } from '@postern/crypto';
import { KeyFileWatch } from './key-file-watch.ts';
import type { KeyFileAccess } from './key-file.ts';
import {
  dataKeyBytes,
  type DataKey,
  type KeyService,
  type KeyServiceStatus,
  type TenantScope,
  type UnwrapResult,
  type WrappedDataKey,
} from './key-service.ts';

const wrappedPattern = /^local:v1:([1-9]\d{0,8}):([\w-]{1,200})$/;

/** How often the key file is looked at for a change that nothing else has brought to light. */
export const keyFileCheckIntervalMs = 1_000;

/**
 * The key service of the embedded default: every tenant's keys from a file, in the clear under mode 0600 or under a
 * passphrase, held in this process's memory.
 *
 * A changed file is noticed while the service runs: at once where a wrapped key names a version that is not in memory,
 * otherwise within {@link keyFileCheckIntervalMs}. A wrapped data key is bound to tenant and key version. What it
 * cannot give is what a key service of its own process gives: a memory dump of the vault has the tenants' keys.
 *
 * @throws {PosternError} `config.invalid` when the file is missing, open to others, damaged, or its passphrase wrong.
 */
export async function localKeyService(access: KeyFileAccess): Promise<KeyService> {
  return new LocalKeyService(await KeyFileWatch.open(access, { checkIntervalMs: keyFileCheckIntervalMs }));
}

class LocalKeyService implements KeyService {
  readonly kind = 'local';
  readonly #file: KeyFileWatch;

  constructor(file: KeyFileWatch) {
    this.#file = file;
  }

  async generateDataKey({ tenantId }: TenantScope): Promise<DataKey> {
    const plaintext = randomBytes(dataKeyBytes);
    return { plaintext, wrapped: await this.#wrap(tenantId, plaintext) };
  }

  async unwrapDataKey(key: WrappedDataKey): Promise<Buffer> {
    return await this.#unwrap(key);
  }

  async unwrapMany({ tenantId, wrapped }: { tenantId: string; wrapped: readonly string[] }): Promise<UnwrapResult[]> {
    assertOpen(this.#file);
    assertId('tenant', tenantId);
    const results: UnwrapResult[] = [];
    for (const one of wrapped) {
      try {
        results.push({ ok: true, plaintext: await this.#unwrap({ tenantId, wrapped: one }) });
      } catch (error) {
        if (!isPosternError(error)) throw error;
        results.push({ ok: false, error });
      }
    }
    return results;
  }

  async rewrap(key: WrappedDataKey): Promise<string> {
    const plaintext = await this.#unwrap(key);
    try {
      return await this.#wrap(key.tenantId, plaintext);
    } finally {
      zero(plaintext);
    }
  }

  async status(of?: TenantScope): Promise<KeyServiceStatus> {
    const { kind } = this;
    if (this.#file.closed) return { kind, ready: false, reason: 'closed' };
    await this.#file.check();
    const reason = this.#file.problem;
    const keyVersions = of && this.#file.ring.versionsOf(of.tenantId);
    if (of && !keyVersions) return { kind, ready: false, reason: reason ?? 'the tenant has no key yet' };
    return { kind, ready: true, ...(keyVersions && { keyVersions }), ...(reason !== undefined && { reason }) };
  }

  async close(): Promise<void> {
    this.#file.close();
  }

  async #wrap(tenantId: string, plaintext: Buffer): Promise<string> {
    assertOpen(this.#file);
    assertId('tenant', tenantId);
    if (!this.#file.ring.versionsOf(tenantId)) await this.#file.check();
    assertOpen(this.#file);
    const version = this.#file.ring.versionsOf(tenantId)?.latest;
    const key = version === undefined ? undefined : this.#file.ring.copyOf(tenantId, version);
    if (version === undefined || key === undefined) {
      throw new PosternError('vault.key_service_unavailable', 'The tenant has no key yet.');
    }
    const sealed = encryptAead({ key, plaintext, additionalData: wrapData(tenantId, version) });
    zero(key);
    return `local:v1:${version}:${sealed.toString('base64url')}`;
  }

  async #unwrap({ tenantId, wrapped }: WrappedDataKey): Promise<Buffer> {
    assertOpen(this.#file);
    assertId('tenant', tenantId);
    const [, versionText, text] = wrappedPattern.exec(wrapped) ?? [];
    const version = Number(versionText);
    const key = versionText === undefined ? undefined : await this.#tenantKey(tenantId, version);
    const sealed = decodeBase64url(text);
    try {
      if (!key || !sealed) throw notOpened();
      return decryptAead({ key, sealed, additionalData: wrapData(tenantId, version) });
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw notOpened();
    } finally {
      if (key) zero(key);
    }
  }

  async #tenantKey(tenantId: string, version: number): Promise<Buffer | undefined> {
    const known = this.#file.ring.copyOf(tenantId, version);
    if (known) return known;
    await this.#file.check();
    assertOpen(this.#file);
    return this.#file.ring.copyOf(tenantId, version);
  }
}

function assertOpen({ closed }: KeyFileWatch): void {
  if (closed) throw new PosternError('vault.key_service_unavailable', 'The local key service is closed');
}

function wrapData(tenantId: string, version: number): Buffer {
  return framed('postern data key v1', tenantId, String(version));
}

function notOpened(): PosternError {
  return new PosternError('vault.ciphertext_invalid', 'A wrapped data key did not open for this tenant');
}
