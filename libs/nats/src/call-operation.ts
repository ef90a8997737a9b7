import {
  errorOfProblem,
  limits,
  newId,
  operationSubject,
  PosternError,
  type IdentityName,
  type Operation,
  type ReplyOf,
} from '@postern/contracts';
import type { Msg } from '@nats-io/nats-core';

import { askOne } from './ask-one.ts';
import { busError, isNoResponders } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { callHeaders } from './call-headers.ts';
import { natsHeaders } from './stored-message.ts';

/** As whom a call is made: the subject names it, and the permissions allow no other. */
export type CallAs = { readonly tenantId: string; readonly platformId: string } | { readonly app: IdentityName };

/** A request as its caller writes it, before defaults. */
export type RequestInput<O extends Operation> = O['request']['_zod']['input'];

export interface CallOptions {
  readonly timeoutMs?: number | undefined;
  readonly correlationId?: string | undefined;
  /** More headers, such as `traceparent`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * Asks a service and waits for its answer.
 *
 * @throws {PosternError} the error the service answered with; `bus.unavailable` when none serves it, or when the
 *   connection or whoever works on it is gone; `bus.timeout`.
 */
export async function callOperation<O extends Operation>(
  bus: Bus,
  ...[operation, caller, request, options = {}]: [O, CallAs, RequestInput<O>, CallOptions?]
): Promise<ReplyOf<O>> {
  const { timeoutMs = limits.requestTimeoutMs } = options;
  try {
    const subject = operationSubject(operation, caller);
    const headers = requestHeaders(options);
    return replyOf<O>(await askOne(bus, { subject, payload: JSON.stringify(request), headers, timeoutMs }));
  } catch (error) {
    throw callError(error, operation);
  }
}

export interface CallEveryOptions extends CallOptions {
  /** End as soon as so many have answered; otherwise at the timeout. */
  readonly count?: number | undefined;
  /** An instance that answered with an error. */
  readonly onError?: ((error: PosternError) => void) | undefined;
}

/**
 * Asks every instance of a service.
 *
 * @returns the replies that came in time; maybe none.
 * @throws {PosternError} `bus.unavailable`, `auth.forbidden`
 */
export async function callEvery<O extends Operation>(
  bus: Bus,
  ...[operation, caller, request, options = {}]: [O, CallAs, RequestInput<O>, CallEveryOptions?]
): Promise<ReplyOf<O>[]> {
  const { timeoutMs = limits.requestTimeoutMs, count, onError } = options;
  const replies: ReplyOf<O>[] = [];
  let answered = 0;
  try {
    const answers = await bus.connection.requestMany(operationSubject(operation, caller), JSON.stringify(request), {
      strategy: count === undefined ? 'timer' : 'count',
      maxMessages: count ?? -1,
      maxWait: timeoutMs,
      headers: requestHeaders(options),
    });
    for await (const answer of answers) {
      answered += 1;
      try {
        replies.push(replyOf<O>(answer));
      } catch (error) {
        onError?.(callError(error, operation));
      }
      if (answered === count) break;
    }
  } catch (error) {
    if (!isNoResponders(error)) throw callError(error, operation);
  }
  return replies;
}

function requestHeaders({ correlationId, headers = {} }: CallOptions) {
  return natsHeaders({ ...headers, [callHeaders.correlationId]: correlationId ?? newId('correlation') });
}

function replyOf<O extends Operation>(answer: Msg): ReplyOf<O> {
  if (answer.headers !== undefined && answer.headers.has(callHeaders.errorCode)) throw errorOfProblem(parse(answer));
  return parse(answer) as ReplyOf<O>;
}

function parse(answer: Msg): unknown {
  try {
    return answer.json<unknown>();
  } catch {
    throw new PosternError('bus.unavailable', 'The answer could not be read.');
  }
}

function callError(error: unknown, { name }: Operation): PosternError {
  if (isNoResponders(error))
    return new PosternError('bus.unavailable', `No service answers ${name}.`, { cause: error });
  return busError(error);
}
