import { randomBytes } from 'node:crypto';
import { newId } from '@postern/contracts';
import { callHeaders } from '@postern/nats';
import { context, createContextKey, type Context } from '@opentelemetry/api';

/** Where what is being worked on comes from. */
interface Origin {
  readonly correlationId: string;
  /** Of a trace that nobody keeps: made when somebody has to be told that he is not to keep it either. */
  unsampled?: string;
}

const originKey = createContextKey('postern.origin');

/** The header, over HTTP and on the bus, that carries the id under which one request is found in every log. */
export const correlationHeader = callHeaders.correlationId;

const correlationPattern = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The id of what is being worked on, if anything is. */
export function currentCorrelationId(): string | undefined {
  return originOf(context.active())?.correlationId;
}

/** The id of what is being worked on, or a new one: a commit always carries one. */
export function correlationId(): string {
  return currentCorrelationId() ?? newId('correlation');
}

/** Takes over a caller's id when it is harmless in a log line, a header and an event; otherwise makes one. */
export function acceptCorrelationId(given: unknown): string {
  return typeof given === 'string' && correlationPattern.test(given) ? given : newId('correlation');
}

/** @internal The context in which log lines, calls and commits carry this id. */
export function withCorrelationId(base: Context, id: string): Context {
  return new OriginContext(base, { correlationId: id });
}

/** As `base.setValue` would make, which copies a table: one of these is made for everything that arrives. */
class OriginContext implements Context {
  readonly #base: Context;
  readonly #origin: Origin;

  constructor(base: Context, origin: Origin) {
    this.#base = base;
    this.#origin = origin;
  }

  getValue(key: symbol): unknown {
    return key === originKey ? this.#origin : this.#base.getValue(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return this.#base.setValue(originKey, this.#origin).setValue(key, value);
  }

  deleteValue(key: symbol): Context {
    return this.#base.setValue(originKey, this.#origin).deleteValue(key);
  }
}

/** @internal Is something being worked on that arrived here, kept or not? */
export function hasOrigin(scope: Context): boolean {
  return originOf(scope) !== undefined;
}

/** @internal The `traceparent` by which whoever is called next knows that this trace is not kept. */
export function unsampledTraceparent(scope: Context): string | undefined {
  const origin = originOf(scope);
  if (origin === undefined) return undefined;
  return (origin.unsampled ??= `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`);
}

function originOf(scope: Context): Origin | undefined {
  return scope.getValue(originKey) as Origin | undefined;
}
