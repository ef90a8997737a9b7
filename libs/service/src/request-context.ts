import { newId } from '@postern/contracts';
import { callHeaders } from '@postern/nats';
import { context, createContextKey, type Context } from '@opentelemetry/api';

const correlationKey = createContextKey('postern.correlation_id');

/** The header, over HTTP and on the bus, that carries the id under which one request is found in every log. */
export const correlationHeader = callHeaders.correlationId;

const correlationPattern = /^[A-Za-z0-9_.:-]{1,128}$/;

/** The id of what is being worked on, if anything is. */
export function currentCorrelationId(): string | undefined {
  const id = context.active().getValue(correlationKey);
  return typeof id === 'string' ? id : undefined;
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
  return base.setValue(correlationKey, id);
}
