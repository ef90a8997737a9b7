import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { transitLimits } from './transit-limits.ts';

/** A request as node-vault hands it over. */
export interface TransportRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: object;
}

/** An answer as node-vault takes it. */
export interface TransportAnswer {
  readonly statusCode: number;
  readonly body: unknown;
  readonly request: { readonly path: string };
}

const redirects: readonly unknown[] = [307, 308];

/**
 * How node-vault reaches Vault: TLS over connections that are kept open, to the authority that is trusted, and nothing
 * else. Its own transport is a general HTTP client, which takes longer over a request than Vault does.
 *
 * A standby that forwards nothing names the active node by a redirect, which is followed within TLS.
 */
export class VaultTransport {
  readonly #agent: Agent;

  /** @param authority in PEM; the system's own when absent. */
  constructor(authority: string | undefined) {
    this.#agent = new Agent({
      keepAlive: true,
      maxSockets: transitLimits.socketsMax,
      rejectUnauthorized: true,
      // Of no proxy either: the key service is reached directly.
      proxyEnv: {},
      ...(authority !== undefined && { ca: authority }),
    });
  }

  /** @throws whatever the socket says, with its code; nothing for an answer that is a refusal. */
  async send(request: TransportRequest): Promise<TransportAnswer> {
    let url = new URL(request.uri);
    for (let hops = 0; ; hops += 1) {
      const { response, text } = await this.#exchange(url, request);
      const { statusCode = 0 } = response;
      const { location } = response.headers;
      const isElsewhere = redirects.includes(statusCode) && location !== undefined && URL.canParse(location, url);
      if (!isElsewhere || hops >= transitLimits.redirectsMax) {
        return { statusCode, body: parsed(text), request: { path: url.pathname } };
      }
      url = new URL(location, url);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(
    url: URL,
    { method, headers, json }: TransportRequest,
  ): Promise<{ response: IncomingMessage; text: string }> {
    if (url.protocol !== 'https:') throw new Error('Vault is reached by TLS only');
    // Text goes into one write with what stands before it; bytes would go into another.
    const body = json === undefined ? undefined : JSON.stringify(json);
    const length = body && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const request = httpsRequest(url, { method, agent: this.#agent, headers: { ...headers, ...length } });
      const late = setTimeout(() => request.destroy(lateError()), transitLimits.requestTimeoutMs);
      const fail = (error: Error): void => {
        clearTimeout(late);
        request.destroy();
        reject(error);
      };
      request.once('error', fail);
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.byteLength;
          if (bytes > transitLimits.answerBytesMax) fail(new Error('Vault answered with too much'));
        });
        response.once('error', fail);
        response.once('end', () => {
          clearTimeout(late);
          resolve({ response, text: Buffer.concat(chunks).toString('utf8') });
        });
      });
      request.end(body);
    });
  }
}

function lateError(): Error {
  return Object.assign(new Error('Vault did not answer in time'), { code: 'ETIMEDOUT' });
}

/** What is no JSON is no answer of Vault's: the status says the rest. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
