import { Injectable } from '@nestjs/common';
import { limits, type CallerOf, type Operation, type ReplyOf, type RequestOf } from '@postern/contracts';
import { Bus, callEvery, callOperation } from '@postern/nats';
import { correlationId } from './request-context.ts';
import { outgoingHeaders, withCall } from './telemetry.ts';

/** @param timeoutMs how long to wait for the answer; {@link limits.requestTimeoutMs} when not given. */
export interface CallOptions {
  readonly timeoutMs?: number;
}

/** @param count how many answers end the waiting early. */
export interface CallEveryOptions extends CallOptions {
  readonly count?: number;
}

/** Asks other services over the bus; trace and correlation ids go along. */
@Injectable()
export class OperationsClient {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * @param caller who asks: this app, or the platform on whose behalf it asks.
   * @throws {PosternError} what the service answered; `bus.unavailable` when none is there; `bus.timeout`.
   */
  async call<O extends Operation>(
    operation: O,
    caller: CallerOf,
    request: RequestOf<O>,
    { timeoutMs = limits.requestTimeoutMs }: CallOptions = {},
  ): Promise<ReplyOf<O>> {
    return await withCall(operation.name, () =>
      callOperation(this.#bus, operation, caller, request, { timeoutMs, ...carried() }),
    );
  }

  /** Asks every instance of the service; for operations that are broadcast. */
  async callEvery<O extends Operation>(
    operation: O,
    caller: CallerOf,
    request: RequestOf<O>,
    { timeoutMs = limits.requestTimeoutMs, ...options }: CallEveryOptions = {},
  ): Promise<ReplyOf<O>[]> {
    return await withCall(operation.name, () =>
      callEvery(this.#bus, operation, caller, request, { timeoutMs, ...carried(), ...options }),
    );
  }
}

function carried(): { correlationId: string; headers: Record<string, string> } {
  return { correlationId: correlationId(), headers: outgoingHeaders() };
}
