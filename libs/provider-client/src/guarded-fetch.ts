import { isHttpsOrLoopback, limits } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

import type { AddressGuard } from './address-guard.ts';
import { arrivedAnswer, type ArrivedAnswer } from './arrived-answer.ts';
import { ProviderCallError, type CallErrorReason } from './provider-call-error.ts';
import { sendAlone, type LoneRequest } from './send-alone.ts';

/** The largest answer that is read from a provider; metadata and token sets are far smaller. */
export const answerBytesMax = 256 * 1024;

export interface GuardedFetchOptions {
  /** Lets tests and the demo reach a provider on this machine, also over plain http. */
  readonly allowLoopback: boolean;
  /** For one call, from the first byte sent to the last received. */
  readonly timeoutMs?: number | undefined;
  /** Refuses addresses that are not public, and connects to the one that was looked at; without it none is looked at. */
  readonly addresses?: AddressGuard | undefined;
  /** With which connections are made: chain and private key in PEM. @source RFC 8705 §2 */
  readonly certificate?: Secret | undefined;
  /** Nothing but the status is wanted: the body is hung up on. */
  readonly discardsBody?: boolean | undefined;
}

interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: URLSearchParams | string | undefined;
  /** Hangs up before the time is over; the call is `interrupted` then. */
  readonly signal?: AbortSignal | undefined;
}

/** Why such a call has no answer; undefined for what is no such error. */
export function callErrorReason(error: unknown): CallErrorReason | undefined {
  return error instanceof ProviderCallError ? error.reason : undefined;
}

/** The status that such a call did get before it failed, as a redirect does; null without one. */
export function callErrorStatus(error: unknown): number | null {
  return error instanceof ProviderCallError ? error.httpStatus : null;
}

/** The shape `oauth4webapi` calls for each of its requests. */
export type GuardedFetch = (url: string, init: FetchInit) => Promise<Response>;

/**
 * The one way out to a provider: https only, no redirects, a limit on time and on size, the whole answer read
 * before anybody looks at it.
 *
 * A redirect would carry a code or a client secret to whoever the first server names; a slow or endless answer would
 * outlive the claim under which it was asked for. Where somebody else chose the URL, be it in a setting or in the metadata of
 * an issuer, an {@link AddressGuard} keeps it out of our own house.
 *
 * @throws {ProviderCallError} from the returned function; it never holds a URL's query, a body or a header.
 * @source RFC 9700 §4.12
 */
export function guardedFetch({
  allowLoopback,
  timeoutMs = limits.providerTimeoutMs,
  addresses,
  certificate,
  discardsBody = false,
}: GuardedFetchOptions): GuardedFetch {
  const arrived = async (target: URL, request: LoneRequest): Promise<ArrivedAnswer> => {
    if (addresses !== undefined) return await addresses.send(target, request);
    if (certificate !== undefined) return await sendAlone(target, request);
    const { method, headers, body, hangUp } = request;
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = hangUp === undefined ? timeout : AbortSignal.any([timeout, hangUp]);
    return arrivedAnswer(await fetch(target, { method, headers, redirect: 'manual', signal, ...(body && { body }) }));
  };
  return async (url, { method, headers: own, body, signal: hangUp }) => {
    const target = reachable(url, allowLoopback);
    const headers = body instanceof URLSearchParams ? { 'content-type': formType, ...own } : own;
    const request = { method, headers, body: body?.toString(), timeoutMs, hangUp, certificate };
    const answer = await orCallError(() => arrived(target, request));
    const { status } = answer;
    const isRedirect = status >= 300 && status < 400;
    const isWanted = !isRedirect && !discardsBody && !bodiless.has(status);
    if (!isWanted) answer.discard();
    if (isRedirect) throw new ProviderCallError('redirected', { httpStatus: status });
    const bytes = isWanted ? await orCallError(() => answer.read(answerBytesMax), status) : none;
    if (bytes === undefined) throw new ProviderCallError('too_large', { httpStatus: status });
    return new Response(bytes.byteLength === 0 ? null : bytes, { status, headers: keptHeaders(answer) });
  };
}

const formType = 'application/x-www-form-urlencoded;charset=UTF-8';
const none = new Uint8Array();
const bodiless: ReadonlySet<number> = new Set([204, 205]);

/**
 * Is this a place to which a code, a token or a browser may be sent?
 *
 * @throws {ProviderCallError} `insecure_url`
 */
export function assertReachable(url: string, allowLoopback: boolean): void {
  reachable(url, allowLoopback);
}

function reachable(url: string, allowLoopback: boolean): URL {
  const target = URL.parse(url);
  if (target === null || !isHttpsOrLoopback(target)) throw new ProviderCallError('insecure_url');
  const { protocol, hostname, username, password } = target;
  if (username !== '' || password !== '') throw new ProviderCallError('insecure_url');
  const local = protocol === 'http:' || isLoopbackHost(hostname);
  if (local && !allowLoopback) throw new ProviderCallError('insecure_url');
  return target;
}

function isLoopbackHost(hostname: string): boolean {
  const bare = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
  return bare === 'localhost' || bare.endsWith('.localhost') || bare === '[::1]' || /^127(\.\d{1,3}){3}$/.test(bare);
}

/** @param httpStatus of an answer that had begun */
async function orCallError<T>(ask: () => Promise<T>, httpStatus?: number): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw callErrorOf(error, httpStatus);
  }
}

/** What the body said of its own transport no longer holds, since it was decoded. */
function keptHeaders({ header }: ArrivedAnswer): [string, string][] {
  return keptNames.flatMap((name) => {
    const value = header(name);
    return value === null ? [] : [[name, value]];
  });
}

const keptNames = ['content-type', 'retry-after', 'www-authenticate', 'dpop-nonce'];

const neverSentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REVOKED',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
]);

/**
 * Alerts about the certificate that a client showed, or did not: nobody listened to what came after the handshake.
 *
 * @source RFC 8446 §6.2
 */
const certificateAlerts: ReadonlySet<number> = new Set([42, 43, 44, 45, 46, 48, 49, 116]);

/** OpenSSL says the number of an alert in words alone. */
function alertOf(error: unknown): number {
  const message = memberOf(error, 'message');
  return Number(/SSL alert number (\d{1,3})\b/.exec(typeof message === 'string' ? message : '')?.[1]);
}

function callErrorOf(error: unknown, httpStatus?: number): ProviderCallError {
  if (error instanceof ProviderCallError) return error;
  const cause = memberOf(error, 'cause');
  const isTimeout = [error, cause].some((one) => memberOf(one, 'name') === 'TimeoutError');
  if (isTimeout) return new ProviderCallError('timeout');
  const code = memberOf(cause, 'code') ?? memberOf(error, 'code');
  if ([error, cause].some((one) => certificateAlerts.has(alertOf(one)))) {
    return new ProviderCallError('client_certificate_refused');
  }
  if (typeof code === 'string' && neverSentCodes.has(code)) return new ProviderCallError('unreachable');
  return new ProviderCallError('interrupted', httpStatus === undefined ? {} : { httpStatus });
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
