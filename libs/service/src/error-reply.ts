import { HttpException } from '@nestjs/common';
import { errorTable, isPosternError, PosternError, problemOf, type ErrorCode } from '@postern/contracts';

const retryAfterSDefault = 2;

/** An error as it leaves over HTTP. */
export interface ErrorReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

const codeByStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'request.malformed',
  404: 'request.not_found',
  405: 'request.not_found',
  413: 'request.too_large',
  414: 'request.malformed',
  415: 'request.unsupported_media_type',
  431: 'request.too_large',
};

/** Turns whatever was thrown on the way of a request into a coded error; what nobody foresaw is `service.internal`. */
export function codedError(error: unknown): PosternError {
  if (isPosternError(error)) return error;
  const status = statusOf(error);
  const code = status === undefined ? undefined : codeByStatus[status];
  if (code === undefined)
    return new PosternError('service.internal', 'An unexpected error was caught', { cause: error });
  return new PosternError(code, sentences[code] ?? errorTable[code].title, { cause: error });
}

const sentences: Partial<Record<ErrorCode, string>> = {
  'request.malformed': 'The request could not be parsed.',
  'request.not_found': 'No such path, or not with this method.',
  'request.too_large': 'The body is over the limit.',
  'request.unsupported_media_type': 'The content type is not one this path takes.',
};

function statusOf(error: unknown): number | undefined {
  if (error instanceof HttpException) return error.getStatus();
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  return typeof status === 'number' && status < 500 ? status : undefined;
}

/** The problem document of an error. @source RFC 9457 §3, RFC 9110 §10.2.3, RFC 6750 §3 */
export function problemReply(error: PosternError, correlationId: string): ErrorReply {
  const body = problemOf(error, correlationId);
  return {
    status: error.row.status,
    headers: { ...errorHeaders(error), 'content-type': 'application/problem+json' },
    body,
  };
}

/**
 * The OAuth form of an error. What has no word there is `invalid_request` or, when it is ours, the `server_error` and
 * `temporarily_unavailable` that RFC 6749 §4.1.2.1 lends.
 *
 * @source RFC 6749 §5.2
 */
export function oauthReply(error: PosternError): ErrorReply {
  const { status, oauthError, exposed, title, retry } = error.row;
  const ours = retry === 'later' && status === 503 ? 'temporarily_unavailable' : 'server_error';
  const word = oauthError ?? (status >= 500 ? ours : 'invalid_request');
  const body = { error: word, error_description: described(exposed ? error.message : title) };
  const headers = { ...errorHeaders(error), 'content-type': 'application/json', 'cache-control': 'no-store' };
  return { status, headers, body };
}

/** Only these characters may stand in an error_description. @source RFC 6749 §5.2 */
function described(message: string): string {
  return message.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '?');
}

function errorHeaders(error: PosternError): Record<string, string> {
  const { status, retry, oauthError } = error.row;
  const seconds = error.details.retry_after_s ?? (retry === 'later' ? retryAfterSDefault : undefined);
  return {
    ...(seconds === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(seconds))) }),
    ...(status === 401 ? { 'www-authenticate': challenge(error.code, oauthError) } : {}),
  };
}

/** A request without a token gets no error word. @source RFC 6750 §3.1 */
function challenge(code: ErrorCode, oauthError: string | undefined): string {
  if (code === 'auth.client_invalid') return 'Basic realm="postern", charset="UTF-8"';
  if (code === 'auth.token_missing' || oauthError === undefined) return 'Bearer realm="postern"';
  return `Bearer realm="postern", error="${oauthError}"`;
}
