import 'reflect-metadata';
import type { Operation, ReplyOf, RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';

const servesKey = Symbol('postern.serves');

type Handler<O extends Operation> = (request: RequestOf<O>, call: Call) => Promise<ReplyOf<O>>;

/**
 * Hangs a method of a provider or controller on an operation of the bus.
 *
 * The request was parsed by the operation's schema, and the caller proved by the subject, before the method is
 * called. It is called directly: no guard, pipe or interceptor stands before it.
 */
export function Serves<O extends Operation>(operation: O) {
  return <H extends Handler<O>>(_t: object, _key: string | symbol, descriptor: TypedPropertyDescriptor<H>): void => {
    if (descriptor.value !== undefined) Reflect.defineMetadata(servesKey, operation, descriptor.value);
  };
}

/** @internal The operation a method serves, if any. */
export function servedBy(method: object): Operation | undefined {
  return Reflect.getMetadata(servesKey, method) as Operation | undefined;
}
