const systemCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
]);

/** Connection exceptions, no room for another connection, shutting down, starting, cancelled for its time. */
const sqlStates = /^(08...|53...|57P0[1-5]|57014|25P03|58...)$/;

/** What `pg` says without a code. */
const sentences = /connection terminated|timeout exceeded when trying to connect|client has encountered a connection/i;

/**
 * Did the database fail to answer, rather than refuse what it was asked? By shape: the error may be a socket's, the
 * driver's or wrapped by the ORM.
 *
 * @internal
 */
export function isUnavailable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, message, cause, previous, errors }: ErrorShape = error;
  if (systemCodes.has(String(code)) || sqlStates.test(String(code)) || sentences.test(String(message))) return true;
  const inner = [previous ?? cause, ...(Array.isArray(errors) ? errors : [])];
  return inner.some((one) => one !== error && isUnavailable(one));
}

interface ErrorShape {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly previous?: unknown;
  readonly errors?: unknown;
}
