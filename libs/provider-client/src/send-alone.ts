import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';

import type { Secret } from '@postern/crypto';

import { keptConnections } from './kept-connections.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** @internal */
export interface LoneRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | undefined;
  readonly signal: AbortSignal;
  /** Shown in the handshake, with its chain, and proven by its key: all in one PEM text. @source RFC 8705 §2 */
  readonly certificate?: Secret | undefined;
  /** What is connected to; the system's own answer when absent. */
  readonly lookup?: LookupFunction | undefined;
  /** Takes one of these connections, or leaves its own among them; never one that was made with a certificate. */
  readonly kept?: ReturnType<typeof keptConnections> | undefined;
}

/**
 * Sends a request over a connection of its own, unless it is given some that are kept: one that is kept open was looked at a
 * while ago, and was perhaps made with another certificate.
 *
 * @throws {ProviderCallError} `invalid_answer`; what `node:http` throws.
 * @internal
 */
export async function sendAlone(url: string, { body, certificate, kept, ...rest }: LoneRequest): Promise<Response> {
  const target = new URL(url);
  const isHttps = target.protocol === 'https:';
  const request = isHttps ? requestHttps : requestHttp;
  const pem = certificate?.reveal();
  const agent = pem === undefined && kept !== undefined ? kept[isHttps ? 'https' : 'http'] : false;
  const options = { ...rest, agent, ...(pem !== undefined && { cert: pem, key: pem }) };
  const message = await new Promise<IncomingMessage>((resolve, reject) => {
    request(target, options).once('response', resolve).once('error', reject).end(body);
  });
  return responseOf(message);
}

const bodiless = new Set([204, 205, 304]);

function responseOf(message: IncomingMessage): Response {
  const status = message.statusCode ?? 0;
  // Whoever hangs up on a body that nobody reads has answered all the same.
  message.on('error', () => undefined);
  if (status < 200 || status > 599) {
    message.destroy();
    throw new ProviderCallError('invalid_answer');
  }
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headersDistinct))
    for (const one of value ?? []) headers.append(name, one);
  if (!bodiless.has(status)) return new Response(Readable.toWeb(message) as ReadableStream, { status, headers });
  message.destroy();
  return new Response(null, { status, headers });
}
