import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';

import type { Secret } from '@postern/crypto';

import type { ArrivedAnswer, Bytes } from './arrived-answer.ts';
import type { keptConnections } from './kept-connections.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** @internal */
export interface LoneRequest {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: string | undefined;
  /** From the first byte sent to the last received. */
  readonly timeoutMs: number;
  /** Hangs up before that. */
  readonly hangUp?: AbortSignal | undefined;
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
 * @throws {ProviderCallError} `invalid_answer`, `timeout`; what `node:http` throws.
 * @internal
 */
export async function sendAlone(target: URL, asked: LoneRequest): Promise<ArrivedAnswer> {
  const { method, headers, lookup, body, certificate, kept, timeoutMs, hangUp } = asked;
  const isHttps = target.protocol === 'https:';
  const pem = certificate?.reveal();
  const agent = pem === undefined && kept !== undefined ? kept[isHttps ? 'https' : 'http'] : false;
  const own = { method, headers, agent, lookup, signal: hangUp, ...(pem !== undefined && { cert: pem, key: pem }) };
  const sent = (isHttps ? requestHttps : requestHttp)(target, own);
  let message: IncomingMessage | undefined;
  const timer = setTimeout(() => (message ?? sent).destroy(new ProviderCallError('timeout')), timeoutMs);
  sent.once('close', () => clearTimeout(timer));
  message = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).on('error', reject).end(body);
  });
  return answerOf(message);
}

function answerOf(message: IncomingMessage): ArrivedAnswer {
  const { statusCode: status = 0, headersDistinct: headers } = message;
  // Whoever hangs up on a body that nobody reads has answered all the same.
  message.on('error', () => undefined);
  if (status < 200 || status > 599) {
    message.destroy();
    throw new ProviderCallError('invalid_answer');
  }
  return {
    status,
    header: (name) => headers[name]?.join(', ') ?? null,
    read: async (bytesMax) => await readMessage(message, bytesMax),
    discard: () => void message.destroy(),
  };
}

async function readMessage(message: IncomingMessage, bytesMax: number): Promise<Bytes | undefined> {
  return await new Promise((resolve, reject) => {
    const chunks: Bytes[] = [];
    let length = 0;
    message.on('data', (chunk: Bytes) => {
      length += chunk.byteLength;
      chunks.push(chunk);
      if (length <= bytesMax) return;
      resolve(undefined);
      message.destroy();
    });
    message.once('end', () => resolve(Buffer.concat(chunks)));
    message.once('error', reject);
  });
}
