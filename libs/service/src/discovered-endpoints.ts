import { Injectable } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { context } from '@opentelemetry/api';
import { PosternError, type AppName, type Operation } from '@postern/contracts';
import type { Call, Endpoint } from '@postern/nats';
import { Logger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { reportError } from './report-error.ts';
import { servedBy } from './serves.ts';
import { beginArrival, failSpan } from './telemetry.ts';

type Method = (request: unknown, call: Call) => Promise<unknown>;

/** Finds every method marked with `@Serves` and makes it an endpoint with its span, its log line and its numbers. */
@Injectable()
export class DiscoveredEndpoints {
  readonly #discovery: DiscoveryService;
  readonly #logger: Logger;
  readonly #metrics: Metrics;

  constructor(discovery: DiscoveryService, logger: Logger, metrics: Metrics) {
    this.#discovery = discovery;
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** @throws {PosternError} `config.invalid` when an operation is another app's, or served twice. */
  of(app: AppName): Endpoint[] {
    const found = this.#methods();
    const names = new Set<string>();
    for (const { operation } of found) {
      if (operation.owner !== app) throw wrong(`${operation.name} belongs to ${operation.owner}, not to ${app}`);
      if (names.has(operation.name)) throw wrong(`${operation.name} is served by two methods`);
      names.add(operation.name);
    }
    return found.map(({ operation, run }) => this.#endpoint(operation, run));
  }

  /** Every provider and controller of the application, each once. */
  instances(): Set<object> {
    const wrappers = [...this.#discovery.getProviders(), ...this.#discovery.getControllers()];
    return new Set(wrappers.map(({ instance }) => instance as unknown).filter(isObject));
  }

  #methods(): { operation: Operation; run: Method }[] {
    const scanner = new MetadataScanner();
    return [...this.instances()].flatMap((instance) =>
      scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object).flatMap((name) => {
        const method = (instance as Record<string, unknown>)[name];
        const operation = typeof method === 'function' ? servedBy(method) : undefined;
        return operation === undefined ? [] : [{ operation, run: (method as Method).bind(instance) }];
      }),
    );
  }

  #endpoint(operation: Operation, run: Method): Endpoint {
    const { name } = operation;
    const observe = this.#metrics.histogram('postern.operation.duration').observer({ operation: name });
    // @source OpenTelemetry semantic conventions, RPC spans
    const attributes = { 'rpc.system': 'nats', 'rpc.service': `postern-${operation.owner}`, 'rpc.method': name };
    const handler = async (request: unknown, call: Call): Promise<unknown> => {
      const startedMs = performance.now();
      const { headers, correlationId } = call;
      const arrival = beginArrival({ name, headers, correlationId, kind: 'request', attributes });
      try {
        return await context.with(arrival.context, run, undefined, request, call);
      } catch (error) {
        context.with(arrival.context, () => this.#failed(name, error));
        failSpan(arrival.span, error);
        throw error;
      } finally {
        arrival.span.end();
        observe((performance.now() - startedMs) / 1000);
      }
    };
    return { operation, handler } as Endpoint;
  }

  #failed(operation: string, error: unknown): void {
    const coded = this.#metrics.counter('postern.operation.errors');
    coded.add(1, { operation, code: reportError(this.#logger, `${operation} failed`, error) });
  }
}

function wrong(sentence: string): PosternError {
  return new PosternError('config.invalid', `${sentence}.`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
