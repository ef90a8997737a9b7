import { PosternError } from '@postern/contracts';
import { zero } from '@postern/crypto';
import {
  dataKeyBytes,
  type DataKey,
  type KeyService,
  type KeyServiceStatus,
  type TenantScope,
  type UnwrapResult,
  type WrappedDataKey,
} from './key-service.ts';
import { demand, noTenantKey, transitPath, transitStatus } from './transit-keys.ts';
import { transitLimits } from './transit-limits.ts';
import { isDone, keyServiceUnavailable, wordsOf, type VaultAnswer } from './vault-client.ts';
import { VaultSession, type VaultAccess } from './vault-session.ts';

const wrappedPattern = /^vault:v[1-9]\d{0,8}:[A-Za-z0-9+/]{1,500}={0,2}$/;
const badRequest = 400;
const keyMissing = /key not found/i;
const dataKeyBits = dataKeyBytes * 8;

/**
 * The key service on HashiCorp Vault's transit engine, or on OpenBao's, which is the same API: key-encryption keys
 * never leave that server, one a tenant.
 *
 * Vault need not be reachable at start, and everything heals without a restart: a seal, a restart, a lost network, an
 * expired token, a secret id that was replaced in its file. What passes through HTTP as JSON passes through memory
 * that cannot be wiped; data keys are given back in buffers that can.
 *
 * @throws {PosternError} `config.invalid` for a URL without TLS, and for files that are missing or open to others.
 * @source https://developer.hashicorp.com/vault/api-docs/secret/transit
 */
export async function transitKeyService(access: VaultAccess): Promise<KeyService> {
  return new TransitKeyService(access, await VaultSession.open(access));
}

class TransitKeyService implements KeyService {
  readonly kind = 'transit';
  readonly #access: VaultAccess;
  readonly #session: VaultSession;

  constructor(access: VaultAccess, session: VaultSession) {
    this.#access = access;
    this.#session = session;
  }

  async generateDataKey({ tenantId }: TenantScope): Promise<DataKey> {
    const answer = await this.#ask(tenantId, 'datakey/plaintext/+', { bits: dataKeyBits });
    const { plaintext, ciphertext } = demand(answer);
    const dataKey = dataKeyIn(plaintext);
    if (dataKey && typeof ciphertext === 'string') return { plaintext: dataKey, wrapped: ciphertext };
    throw keyServiceUnavailable('Vault answered without a data key');
  }

  async unwrapDataKey({ tenantId, wrapped }: WrappedDataKey): Promise<Buffer> {
    const { plaintext } = await this.#askOfCiphertext({ tenantId, wrapped }, 'decrypt/+');
    const dataKey = dataKeyIn(plaintext);
    if (dataKey) return dataKey;
    throw notOpened();
  }

  async unwrapMany({ tenantId, wrapped }: TenantScope & { wrapped: readonly string[] }): Promise<UnwrapResult[]> {
    this.#session.assertOpen();
    transitPath(this.#access, 'decrypt/+', tenantId);
    const plaintexts: (Buffer | undefined)[] = wrapped.map(() => undefined);
    // What has not the form of a wrapped key is not asked about.
    const asked = [...wrapped.keys()].filter((at) => wrappedPattern.test(wrapped[at] ?? ''));
    for (let from = 0; from < asked.length; from += transitLimits.batchItemsMax) {
      const places = asked.slice(from, from + transitLimits.batchItemsMax);
      const opened = await this.#decryptBatch(
        tenantId,
        places.map((at) => wrapped[at] ?? ''),
      );
      for (const [index, at] of places.entries()) plaintexts[at] = dataKeyIn(opened[index]);
    }
    return plaintexts.map((plaintext) => (plaintext ? { ok: true, plaintext } : { ok: false, error: notOpened() }));
  }

  async rewrap(key: WrappedDataKey): Promise<string> {
    const { ciphertext } = await this.#askOfCiphertext(key, 'rewrap/+');
    if (typeof ciphertext === 'string') return ciphertext;
    throw keyServiceUnavailable('Vault answered without a rewrapped key');
  }

  async status(of?: TenantScope): Promise<KeyServiceStatus> {
    return await transitStatus(this.#session, this.#access, {
      tenantId: of?.tenantId,
      oldestOf: ({ minDecryptionVersion, minAvailableVersion }) => Math.max(minDecryptionVersion, minAvailableVersion),
    });
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  /** @returns the plaintexts in their order, as transit gives them; undefined for what did not open. */
  async #decryptBatch(tenantId: string, ciphertexts: readonly string[]): Promise<unknown[]> {
    const answer = await this.#ask(tenantId, 'decrypt/+', {
      batch_input: ciphertexts.map((ciphertext) => ({ ciphertext })),
    });
    // With an item that does not open the status is 400, and the others' answers stand beside it all the same.
    const { batch_results: items } = (answer.body['data'] ?? {}) as { batch_results?: unknown };
    if (!Array.isArray(items) || items.length !== ciphertexts.length) return demand(answer) && [];
    return items.map((item: { plaintext?: unknown; error?: unknown }) => (item.error ? undefined : item.plaintext));
  }

  async #askOfCiphertext({ tenantId, wrapped }: WrappedDataKey, area: string) {
    this.#session.assertOpen();
    transitPath(this.#access, area, tenantId);
    if (!wrappedPattern.test(wrapped)) throw notOpened();
    const answer = await this.#ask(tenantId, area, { ciphertext: wrapped });
    if (answer.status === badRequest) throw notOpened();
    return demand(answer);
  }

  /** @returns an answer; a tenant without a key has none. */
  async #ask(tenantId: string, area: string, body: Readonly<Record<string, unknown>>): Promise<VaultAnswer> {
    const path = transitPath(this.#access, area, tenantId);
    const answer = await this.#session.call({ method: 'POST', path, body });
    if (!isDone(answer) && keyMissing.test(wordsOf(answer))) throw noTenantKey(tenantId);
    return answer;
  }
}

function dataKeyIn(base64: unknown): Buffer | undefined {
  if (typeof base64 !== 'string') return undefined;
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length === dataKeyBytes) return bytes;
  zero(bytes);
  return undefined;
}

function notOpened(): PosternError {
  return new PosternError('vault.ciphertext_invalid', 'A wrapped data key did not open for this tenant');
}
