import { readFileSync } from 'node:fs';
import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import type nodeVault from 'node-vault';
import { VaultTransport, type TransportRequest } from './vault-transport.ts';

/** Where a Vault (or an OpenBao) is, and what proves that it is the right one. */
export interface VaultPlace {
  /** `https://host:port`, nothing behind it. */
  readonly url: string;
  /** The certificate authority to trust, PEM; the system's own when absent. */
  readonly caFile?: string | undefined;
  /** Vault Enterprise and OpenBao have namespaces. */
  readonly namespace?: string | undefined;
}

/** One call below `/v1/`. */
export interface VaultCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly token?: Secret;
  /** What must not be done twice is not sent again when a connection breaks. */
  readonly once?: boolean;
}

/** Whatever Vault answered, also a refusal; an empty object for an empty body. */
export interface VaultAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The library of that name, loaded where there is a Vault at all: it brings a good deal with it. */
export type NodeVault = typeof nodeVault;

interface Connection {
  readonly authority: string | undefined;
  readonly vault: nodeVault.client;
  readonly transport: VaultTransport;
}

/** A connection that was kept open may end in the moment it is used; these say that nothing was answered on it. */
const brokenCodes: readonly unknown[] = ['ECONNRESET', 'EPIPE'];
const statusMin = 200;
const statusEndOfDone = 300;

/** Vault's HTTP API over connections that are kept open, with TLS and nothing else. */
export class VaultClient {
  readonly #place: VaultPlace;
  readonly #nodeVault: NodeVault;
  #connection: Connection | undefined;

  /** @throws {PosternError} `config.invalid` for a URL that is not https, or a file that is no authority's. */
  constructor(place: VaultPlace, loaded: NodeVault) {
    this.#place = place;
    this.#nodeVault = loaded;
    assertHttps(place.url);
    this.#connection = connect(place, loaded);
  }

  /**
   * Asks Vault.
   *
   * @throws {PosternError} `vault.key_service_unavailable` only when nothing answers.
   */
  async call(call: VaultCall): Promise<VaultAnswer> {
    try {
      return await this.#send(call);
    } catch (error) {
      if (call.once === true || !brokenCodes.includes(codeOf(error))) throw this.#unreachable(error);
    }
    try {
      return await this.#send(call);
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  /** Ends every connection; a later call opens new ones. */
  close(): void {
    this.#connection?.transport.close();
    this.#connection = undefined;
  }

  async #send({ method, path, body, token }: VaultCall): Promise<VaultAnswer> {
    const { vault } = (this.#connection ??= connect(this.#place, this.#nodeVault));
    const { namespace } = this.#place;
    const headers = {
      'X-Vault-Request': 'true',
      ...(token && { 'X-Vault-Token': token.reveal() }),
      ...(namespace !== undefined && { 'X-Vault-Namespace': namespace }),
    };
    const options = { method, path: `/${path}`, headers, ...(body && { json: body }) };
    try {
      return { status: statusMin, body: objectOf(await vault.request(options)) };
    } catch (error) {
      const { statusCode, body: refusal } = answerIn(error) ?? {};
      if (statusCode === undefined) throw error;
      return { status: statusCode, body: objectOf(refusal) };
    }
  }

  #unreachable(error: unknown): PosternError {
    if (this.#isAuthorityReplaced()) this.close();
    return keyServiceUnavailable(`Vault at ${this.#place.url} does not answer (${codeOf(error) ?? 'no reason given'})`);
  }

  /** Then the next call trusts the new one. */
  #isAuthorityReplaced(): boolean {
    try {
      return authorityOf(this.#place) !== this.#connection?.authority;
    } catch {
      return false;
    }
  }
}

/** Was the call done? */
export function isDone({ status }: VaultAnswer): boolean {
  return status >= statusMin && status < statusEndOfDone;
}

/** Vault's own words for a refusal. */
export function wordsOf({ body }: VaultAnswer): string {
  const { errors } = body;
  return Array.isArray(errors) && errors.length > 0 ? errors.map(String).join('; ') : 'no reason given';
}

/** @param reason in words for an operator; it stays in this process, since it names places. */
export function keyServiceUnavailable(reason: string): PosternError {
  return new PosternError('vault.key_service_unavailable', 'The key service cannot be asked now.', {
    cause: new Error(reason),
  });
}

/** What {@link keyServiceUnavailable} was told. */
export function reasonOf({ cause, message }: PosternError): string {
  return cause instanceof Error ? cause.message : message;
}

function assertHttps(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === 'https:' && parsed.origin === url.replace(/\/$/, '')) return;
  throw new PosternError('config.invalid', 'The key service is reached by https://host:port, nothing behind it.');
}

/**
 * node-vault would take a token, a namespace and "no verification" from the environment, and print requests for
 * `DEBUG`: none of that is left to it.
 */
function connect(place: VaultPlace, loaded: NodeVault): Connection {
  const authority = authorityOf(place);
  const transport = new VaultTransport(authority);
  const send = (request: TransportRequest) => transport.send(request);
  const vault = loaded({
    endpoint: place.url,
    debug: () => undefined,
    'request-promise': { defaults: () => send },
    // Each request would be checked against a schema, which takes as long as a socket; types check ours.
    tv4: unchecked,
  });
  Object.assign(vault, { token: '', namespace: '', pathPrefix: '' });
  return { authority, vault, transport };
}

const unchecked = Object.assign(() => true, { validate: () => true });

function authorityOf({ caFile }: VaultPlace): string | undefined {
  if (caFile === undefined) return undefined;
  try {
    const text = readFileSync(caFile, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  } catch {
    // The sentence below is for both.
  }
  throw new PosternError('config.invalid', `${caFile} cannot be read as a certificate authority in PEM.`);
}

function answerIn(error: unknown): { statusCode?: number; body?: unknown } | undefined {
  if (!(error instanceof Error) || !('response' in error)) return undefined;
  return error.response as { statusCode?: number; body?: unknown } | undefined;
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined;
}

function objectOf(body: unknown): Readonly<Record<string, unknown>> {
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}
