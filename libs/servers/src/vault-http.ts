import { PosternError } from '@postern/contracts';

const requestTimeoutMs = 30_000;

/** How one Vault is reached. */
export interface VaultAddress {
  readonly url: string;
  /** The certificate to trust, as PEM; undefined without TLS. */
  readonly ca?: string;
}

export interface VaultCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'LIST' | 'DELETE';
  /** Below `/v1/`. */
  readonly path: string;
  readonly token?: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** Vault's answer: any status, an empty object for an empty body. */
export interface VaultAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/**
 * One call to Vault's HTTP API.
 *
 * @throws {PosternError} `servers.start_failed` only when nothing answers.
 */
export async function callVault({ url, ca }: VaultAddress, call: VaultCall): Promise<VaultAnswer> {
  const { method, path, token, body } = call;
  const target = new URL(`/v1/${path}`, url);
  // Node brings all of its fetch with node:http, and most who load this library never meet a Vault.
  const { request: send } = target.protocol === 'https:' ? await import('node:https') : await import('node:http');
  return await new Promise((resolve, reject) => {
    const request = send(target, {
      method,
      agent: false,
      timeout: requestTimeoutMs,
      headers: { ...(token !== undefined && { 'X-Vault-Token': token }), 'X-Vault-Request': 'true' },
      ...(ca !== undefined && { ca }),
    });
    request.once('timeout', () => request.destroy(new Error('Vault did not answer in time')));
    request.once('error', (cause) => {
      reject(new PosternError('servers.start_failed', `vault did not answer: ${cause.message}`, { cause }));
    });
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        try {
          const parsed = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
          resolve({ status: response.statusCode ?? 0, body: parsed });
        } catch (error) {
          reject(error);
        }
      });
    });
    request.end(body && JSON.stringify(body));
  });
}

/**
 * A call that must succeed.
 *
 * @throws {PosternError} `servers.start_failed` with Vault's own words.
 */
export async function demandVault(address: VaultAddress, call: VaultCall): Promise<Readonly<Record<string, unknown>>> {
  const { status, body } = await callVault(address, call);
  if (status >= 200 && status < 300) return body;
  const words = Array.isArray(body['errors']) ? body['errors'].join('; ') : 'no reason given';
  throw new PosternError('servers.start_failed', `vault answered ${status} to ${call.method} ${call.path}: ${words}`);
}
