import { inspect } from 'node:util';
import { toBytes } from './bytes.ts';
import { constantTimeEqual } from './hash.ts';

const redacted = '[secret]';

/**
 * A value that will not print: not in a log, an error, a template, JSON, `console.log` or a structured clone.
 *
 * Redaction by lists of field names forgets fields; a type cannot be forgotten. The value leaves only through
 * {@link Secret.reveal}, so every place that does is found by searching for that word.
 */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T;

  private constructor(value: T) {
    this.#value = value;
  }

  /** Wraps a value; bytes are copied, so the caller can zero its own. A secret is given back as it is. */
  static from(value: string | Secret): Secret;
  static from(value: Uint8Array | Secret<Uint8Array>): Secret<Uint8Array>;
  static from(value: string | Uint8Array | Secret | Secret<Uint8Array>): Secret<string | Uint8Array> {
    if (value instanceof Secret) return value;
    return new Secret(typeof value === 'string' ? value : Buffer.from(value));
  }

  /** The value itself. Call it in the expression that needs it and keep no variable. */
  reveal(): T {
    return this.#value;
  }

  /** Compares in constant time, also with a plain value that came from outside. */
  equals(other: Secret | Secret<Uint8Array> | string | Uint8Array): boolean {
    const value: string | Uint8Array = other instanceof Secret ? other.reveal() : other;
    return constantTimeEqual(toBytes(this.#value), toBytes(value));
  }

  /** `[secret]` */
  toString(): string {
    return redacted;
  }

  /** `[secret]` */
  toJSON(): string {
    return redacted;
  }

  /** `[secret]`, also where a number is asked for. */
  [Symbol.toPrimitive](): string {
    return redacted;
  }

  /** `[secret]` */
  [inspect.custom](): string {
    return redacted;
  }
}
