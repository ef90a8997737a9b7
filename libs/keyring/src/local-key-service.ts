import { hkdfSync, randomBytes } from 'node:crypto';
import { assertId, isPosternError, PosternError } from '@postern/contracts';
import { CryptoError, decodeBase64url, decryptAead, encryptAead, framed, zero } from '@postern/crypto';
import { readMasterKeys, wipe, type KeyFileAccess, type MasterKeys } from './key-file.ts';
import { dataKeyBytes, type DataKey, type KeyService, type UnwrapResult, type WrappedDataKey } from './key-service.ts';

const wrappedPattern = /^local:v1:([1-9]\d{0,8}):([\w-]{1,200})$/;
const tenantKeyBytes = 32;

/**
 * The key service of the embedded default: master keys from a file, in the clear under mode 0600 or under a
 * passphrase, held in this process's memory.
 *
 * A tenant's key is derived from the master key (HKDF-SHA-256) and lives for one call; a wrapped data key is bound
 * to tenant and master key version. What it cannot give is what a key service of its own process gives: a memory
 * dump of the vault has the master keys.
 *
 * @throws {PosternError} `config.invalid` when the file is missing, open to others, damaged, or its passphrase wrong.
 * @source RFC 5869
 */
export async function localKeyService(access: KeyFileAccess): Promise<KeyService> {
  return new LocalKeyService(await readMasterKeys(access));
}

class LocalKeyService implements KeyService {
  readonly kind = 'local';
  readonly #latest: number;
  #masterKeys: MasterKeys | undefined;

  constructor(masterKeys: MasterKeys) {
    this.#masterKeys = masterKeys;
    this.#latest = Math.max(...masterKeys.keys());
  }

  async generateDataKey({ tenantId }: { tenantId: string }): Promise<DataKey> {
    const plaintext = randomBytes(dataKeyBytes);
    return { plaintext, wrapped: this.#wrap(tenantId, plaintext) };
  }

  async unwrapDataKey(key: WrappedDataKey): Promise<Buffer> {
    return this.#unwrap(key);
  }

  async unwrapMany({ tenantId, wrapped }: { tenantId: string; wrapped: readonly string[] }): Promise<UnwrapResult[]> {
    this.#keys();
    assertId('tenant', tenantId);
    return wrapped.map((one) => {
      try {
        return { ok: true, plaintext: this.#unwrap({ tenantId, wrapped: one }) };
      } catch (error) {
        if (!isPosternError(error)) throw error;
        return { ok: false, error };
      }
    });
  }

  async rewrap(key: WrappedDataKey): Promise<string> {
    const plaintext = this.#unwrap(key);
    try {
      return this.#wrap(key.tenantId, plaintext);
    } finally {
      zero(plaintext);
    }
  }

  async status() {
    if (!this.#masterKeys) return { kind: this.kind, ready: false, reason: 'closed' } as const;
    const keyVersions = { oldest: Math.min(...this.#masterKeys.keys()), latest: this.#latest };
    return { kind: this.kind, ready: true, keyVersions } as const;
  }

  async close(): Promise<void> {
    if (this.#masterKeys) wipe(this.#masterKeys);
    this.#masterKeys = undefined;
  }

  #wrap(tenantId: string, plaintext: Buffer): string {
    const version = this.#latest;
    const key = this.#tenantKey(tenantId, version);
    const sealed = encryptAead({ key, plaintext, additionalData: wrapData(tenantId, version) });
    zero(key);
    return `local:v1:${version}:${sealed.toString('base64url')}`;
  }

  #unwrap({ tenantId, wrapped }: WrappedDataKey): Buffer {
    const [, versionText, text] = wrappedPattern.exec(wrapped) ?? [];
    const version = Number(versionText);
    const key = this.#tenantKey(tenantId, version);
    const sealed = decodeBase64url(text);
    try {
      if (!sealed) throw notOpened();
      return decryptAead({ key, sealed, additionalData: wrapData(tenantId, version) });
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw notOpened();
    } finally {
      zero(key);
    }
  }

  #tenantKey(tenantId: string, version: number): Buffer {
    const masterKey = this.#keys().get(version);
    assertId('tenant', tenantId);
    if (!masterKey) throw notOpened();
    const info = framed('postern tenant key v1', tenantId);
    return Buffer.from(hkdfSync('sha256', masterKey, Buffer.alloc(0), info, tenantKeyBytes));
  }

  #keys(): MasterKeys {
    if (this.#masterKeys) return this.#masterKeys;
    throw new PosternError('vault.key_service_unavailable', 'The local key service is closed');
  }
}

function wrapData(tenantId: string, version: number): Buffer {
  return framed('postern data key v1', tenantId, String(version));
}

function notOpened(): PosternError {
  return new PosternError('vault.ciphertext_invalid', 'A wrapped data key did not open for this tenant');
}
