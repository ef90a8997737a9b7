import { Injectable } from '@nestjs/common';
import type { Operation, ReplyOf } from '@postern/contracts';
import {
  Bus,
  callEvery,
  callOperation,
  type CallAs,
  type CallEveryOptions,
  type CallOptions,
  type RequestInput,
} from '@postern/nats';
import { correlationId } from './request-context.ts';
import { outgoingHeaders, withCall } from './telemetry.ts';

/** How a call is made; what it carries of its origin is not the caller's business. */
export type AskOptions = Pick<CallOptions, 'timeoutMs'>;
export type AskEveryOptions = Pick<CallEveryOptions, 'timeoutMs' | 'count' | 'onError'>;

/** Asks other services over the bus; trace and correlation ids go along. */
@Injectable()
export class OperationsClient {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * @param caller as whom it is asked: this app, or the platform on whose behalf.
   * @param options `timeoutMs`, `limits.requestTimeoutMs` when absent.
   * @throws {PosternError} what the service answered; `bus.unavailable` when none is there; `bus.timeout`.
   */
  async call<O extends Operation>(
    ...[operation, caller, request, options = {}]: [O, CallAs, RequestInput<O>, AskOptions?]
  ): Promise<ReplyOf<O>> {
    const ask = () => callOperation(this.#bus, operation, caller, request, { ...options, ...carried() });
    return await withCall(operation.name, ask, spanOf(operation));
  }

  /**
   * Asks every instance of a service; for operations that are broadcast.
   *
   * @returns the replies that came in time, as many as there are when `count` is not given.
   */
  async callEvery<O extends Operation>(
    ...[operation, caller, request, options = {}]: [O, CallAs, RequestInput<O>, AskEveryOptions?]
  ): Promise<ReplyOf<O>[]> {
    const ask = () => callEvery(this.#bus, operation, caller, request, { ...options, ...carried() });
    return await withCall(operation.name, ask, spanOf(operation));
  }
}

/** @source OpenTelemetry semantic conventions, RPC spans */
function spanOf({ owner, name }: Operation) {
  return { attributes: { 'rpc.system': 'nats', 'rpc.service': `postern-${owner}`, 'rpc.method': name } };
}

function carried(): { correlationId: string; headers: Record<string, string> } {
  return { correlationId: correlationId(), headers: outgoingHeaders() };
}
