import type { CallerOf, Operation, ReplyOf, RequestOf } from '@postern/contracts';

/** What a handler knows of a call beside its request. */
export interface Call {
  /** Who calls, as the subject proves it. */
  readonly caller: CallerOf;
  readonly subject: string;
  readonly correlationId: string;
  /** All headers, `traceparent` among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** The size of the request in bytes. */
  readonly bytes: number;
}

/** An operation with its handler; make it with `endpoint`, which keeps their types together. */
export interface Endpoint {
  readonly operation: Operation;
  readonly handler: (request: never, call: Call) => Promise<unknown>;
}

/** Binds an operation to the handler that answers it. */
export function endpoint<O extends Operation>(
  operation: O,
  handler: (request: RequestOf<O>, call: Call) => Promise<ReplyOf<O>> | ReplyOf<O>,
): Endpoint {
  return { operation, handler: async (request: never, call) => await handler(request as RequestOf<O>, call) };
}
