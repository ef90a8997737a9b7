import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Secret } from '@postern/crypto';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';

import {
  heldClientSecret,
  ProviderClient,
  type AskedFeatures,
  type ClientRegistration,
  type DpopNonces,
  type DpopProver,
  type RequestSigner,
  type TokenEndpointAuthMethod,
} from '../index.ts';

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values, in the order they came, with what came twice. */
  readonly form: readonly (readonly [string, string])[];
}

export const redirectUri = 'https://postern.example/oauth/callback/reg_1';
export const scopes = ['openid', 'contacts:read'];
export const codeVerifier = Secret.from('v'.repeat(43));

interface Answer {
  status: number;
  body: unknown;
  headers?: Readonly<Record<string, string>>;
}

/** An authorization server that keeps what it was sent, and answers as it is told. */
export class OauthServer {
  readonly issuer: string;
  readonly seen: SeenRequest[] = [];
  /** Members of its metadata beside the necessary ones; undefined takes one away. */
  metadata: Record<string, unknown> = {};
  /** What it says first, in their order, before what it says from then on. */
  answers: Answer[] = [];
  /** What its token endpoint says. */
  answer: Answer = { status: 200, body: { access_token: 'a', token_type: 'Bearer' } };
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(): Promise<OauthServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const one = new OauthServer(server);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '', headers } = request;
        const isMetadata = url.startsWith('/.well-known/');
        const form = [...new URLSearchParams(Buffer.concat(chunks).toString())];
        if (!isMetadata) one.seen.push({ method, url, headers, form });
        const answer = isMetadata ? { status: 200, body: one.#metadata() } : (one.answers.shift() ?? one.answer);
        const { status, body, headers: more } = answer;
        response.writeHead(status, { 'content-type': 'application/json', ...more });
        response.end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    });
    return one;
  }

  #metadata(): object {
    const { issuer } = this;
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      ...this.metadata,
    };
  }

  /** Forgets what was, for the next test. */
  reset(): void {
    this.seen.length = 0;
    this.metadata = {};
    this.answers = [];
    this.answer = { status: 200, body: { access_token: 'a', token_type: 'Bearer' } };
  }

  /** The one request that came. */
  only(): SeenRequest {
    const [first, ...more] = this.seen;
    if (first === undefined || more.length > 0) throw new Error(`${this.seen.length} requests came`);
    return first;
  }

  client(
    options: {
      method?: TokenEndpointAuthMethod;
      provider?: Partial<Provider>;
      allowLoopback?: boolean;
      prove?: DpopProver;
      dpopNonces?: DpopNonces;
      features?: AskedFeatures & Pick<ClientRegistration, 'resource'>;
      signRequest?: RequestSigner;
    } = {},
  ): ProviderClient {
    const { method = 'client_secret_basic', provider = {}, allowLoopback = true, features, ...rest } = options;
    return new ProviderClient({
      provider: { ...providerOf(loadCatalog(), 'openid-connect'), ...provider },
      registration: {
        ...{ clientId: 'app', tokenEndpointAuthMethod: method, parameters: { issuer: this.issuer } },
        ...features,
      },
      credentials: credentialOf(method),
      allowLoopback,
      ...rest,
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function credentialOf(method: TokenEndpointAuthMethod) {
  if (method === 'none') return null;
  if (method !== 'private_key_jwt') return heldClientSecret(Secret.from('the client secret'));
  return () => Promise.resolve({ version: 1, clientAssertion: Secret.from('header.claims.signature') });
}

/** Spends a code as after a callback. */
export async function exchange(
  client: ProviderClient,
  { nonce = null }: { nonce?: string | null } = {},
): ReturnType<ProviderClient['exchangeCode']> {
  const callback = await client.readCallback({
    parameters: new URLSearchParams({ code: 'the code', state: 's' }),
    expectedState: 's',
  });
  if (callback.kind !== 'code') throw new Error(callback.kind);
  return await client.exchangeCode({ callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes });
}
