import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Secret } from '@postern/crypto';
import type { Provider } from '@postern/provider-catalog';

import { heldClientSecret, ProviderClient } from './index.ts';

export const refreshToken = Secret.from('refresh-token-that-must-not-leak');
export const clientSecret = Secret.from('client-secret-that-must-not-leak');
export const nowMs = 1_800_000_000_000;

/** A real token endpoint for specifications, which answers what it is told to. */
export class TokenServer {
  readonly url: string;
  readonly #server: ReturnType<typeof createServer>;
  #answer: RequestListener = (_request, response) => void response.end();

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
    server.on('request', (request, response) => this.#answer(request, response));
  }

  static async start(): Promise<TokenServer> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TokenServer(server);
  }

  does(answer: RequestListener): void {
    this.#answer = answer;
  }

  answers(status: number, body: unknown, headers: Record<string, string> = {}): void {
    this.does((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A client of this provider, whose token endpoint stands elsewhere. */
export function clientAt(
  tokenEndpoint: string,
  provider: Provider,
  timeoutMs = 10_000,
  secret = clientSecret,
): ProviderClient {
  const endpoints = {
    authorizationEndpoint: 'https://provider.example/authorize',
    tokenEndpoint,
    revocationEndpoint: null,
    introspectionEndpoint: null,
  };
  return new ProviderClient({
    provider: { ...provider, parameters: {}, discoveryIssuer: null, endpoints },
    registration: { clientId: 'app', tokenEndpointAuthMethod: 'client_secret_basic', parameters: {} },
    credentials: heldClientSecret(secret),
    allowLoopback: true,
    timeoutMs,
    nowMs: () => nowMs,
  });
}
