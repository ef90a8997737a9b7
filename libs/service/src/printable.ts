import { types } from 'node:util';
import { isPosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';

const depthMax = 6;
const itemsMax = 100;
const causesMax = 4;

/**
 * Turns anything into what a log line may hold.
 *
 * A secret prints as `[secret]`; bytes print as their length; an error prints as its class, code, message and stack,
 * and so do its causes, because the objects that libraries hang on errors hold requests with their headers.
 */
export function printable(value: unknown, depth = 0): unknown {
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return '[function]';
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Secret) return '[secret]';
  if (isError(value)) return printableError(value);
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[no date]' : value.toISOString();
  if (depth >= depthMax) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, itemsMax).map((item) => printable(item, depth + 1));
  return printableEntries(value, depth);
}

function printableEntries(value: object, depth: number): unknown {
  const entries: [unknown, unknown][] =
    value instanceof Map
      ? [...value]
      : value instanceof Set
        ? [...value].map((item, n) => [n, item])
        : Object.entries(value);
  return Object.fromEntries(
    entries.slice(0, itemsMax).map(([key, item]) => [String(printable(key, depthMax)), printable(item, depth + 1)]),
  );
}

/** What a log may tell of an error: never the objects that hang on it. */
export interface PrintableError {
  readonly type: string;
  readonly code?: string;
  readonly message: string;
  readonly stack?: string;
  readonly cause?: PrintableError;
}

/** Reduces an error, and the chain of its causes, to class, code, message and stack. */
export function printableError(error: Error, causes = 0): PrintableError {
  const code = codeOf(error);
  const { cause } = error;
  return {
    type: error.name,
    ...(code === undefined ? {} : { code }),
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(isError(cause) && causes < causesMax ? { cause: printableError(cause, causes + 1) } : {}),
  };
}

/** Also an error of another realm, such as a worker's. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

function codeOf(error: Error): string | undefined {
  if (isPosternError(error)) return error.code;
  return 'code' in error && (typeof error.code === 'string' || typeof error.code === 'number')
    ? String(error.code)
    : undefined;
}
