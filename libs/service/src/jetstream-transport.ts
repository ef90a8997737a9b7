import { Server, type CustomTransportStrategy } from '@nestjs/microservices';
import { consumers, PosternError, type ConsumerKey } from '@postern/contracts';
import { JetStreamWorker, type Bus, type WorkMessage } from '@postern/nats';
import { lastValueFrom } from 'rxjs';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { PassOver } from './pass-over.ts';
import { reportError } from './report-error.ts';
import { withArrival } from './telemetry.ts';
import { settleFailed, settleOnce, type Settleable } from './work-settlement.ts';
import { jetStreamTransportId } from './works.ts';

export interface JetStreamTransportOptions {
  readonly bus: Bus;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly lookOf: PassOver['lookOf'];
}

interface WorkExtras {
  readonly concurrencyMax?: number;
  readonly prefetchMax?: number;
  readonly confirms?: boolean;
  readonly parses?: boolean;
  readonly skips?: (payload: Uint8Array) => boolean;
}

/**
 * Nest's transport over JetStream: one worker per durable consumer that a `@Works` method names.
 *
 * Nest's own NATS transport knows core NATS only, and `handleEvent()` of its base class swallows errors, which would
 * acknowledge what failed; so the handler is called and awaited here, and its outcome settles the message.
 */
export class JetStreamTransport extends Server implements CustomTransportStrategy {
  override readonly transportId = jetStreamTransportId;
  override readonly propagatesEventHandlerErrors = true;
  readonly #options: JetStreamTransportOptions;
  #workers: JetStreamWorker[] = [];

  constructor(options: JetStreamTransportOptions) {
    super();
    this.#options = options;
  }

  async listen(callback: (error?: unknown) => void): Promise<void> {
    try {
      this.#workers = [...this.messageHandlers.keys()].map((pattern) => this.#worker(pattern));
      await Promise.all(this.#workers.map((worker) => worker.start()));
      callback();
    } catch (error) {
      callback(error);
    }
  }

  /** Takes no more messages, and resolves when those in hand are settled. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  on(): never {
    throw new PosternError('service.internal', 'The JetStream transport has no events of its own');
  }

  unwrap<T>(): T {
    return this.#workers as T;
  }

  #worker(pattern: string): JetStreamWorker {
    const extras: WorkExtras = this.messageHandlers.get(pattern)?.extras ?? {};
    const { concurrencyMax = 1, prefetchMax = concurrencyMax, confirms = true, parses = true, skips } = extras;
    const work = this.#workOf(pattern, parses);
    return new JetStreamWorker({
      bus: this.#options.bus,
      consumer: pattern as ConsumerKey,
      concurrencyMax,
      prefetchMax,
      confirms,
      passOver: this.#options.lookOf(pattern as ConsumerKey),
      skips,
      handle: (message) => this.#handle(work, settleOnce(message)),
      onError: (error) => this.#options.logger.warn(`${pattern}: the worker met an error`, { err: error }),
    });
  }

  /** What is the same for each of its messages. */
  #workOf(pattern: string, parses: boolean): Work {
    const labels = labelsOf(pattern);
    const name = `process ${labels['messaging.destination.name']}`;
    const observe = this.#options.metrics.histogram('messaging.process.duration').observer(labels);
    return { pattern, parses, name, attributes: { ...labels, ...processing }, observe };
  }

  async #handle(work: Work, message: Settleable): Promise<void> {
    const startedMs = performance.now();
    const { name, observe } = work;
    const attributes = { ...work.attributes, 'postern.message.deliveries': message.deliveries };
    await withArrival({ name, headers: message.headers, kind: 'message', attributes }, async () => {
      try {
        await this.#run(work, message);
        await message.ack();
      } catch (error) {
        await this.#failed(work, message, error);
      }
    });
    observe((performance.now() - startedMs) / 1_000);
  }

  async #failed({ pattern }: Work, message: Settleable, error: unknown): Promise<void> {
    const { logger, metrics } = this.#options;
    const code = reportError(logger, `${pattern} failed`, error);
    metrics.counter('postern.work.errors').add(1, { consumer: pattern, code });
    const fate = message.settled ? 'settled before that' : await settleFailed(message, error);
    const { position, deliveries } = message;
    logger.warn(`${pattern}: the message was ${fate}`, { position, deliveries, code });
  }

  async #run({ pattern, parses }: Work, message: WorkMessage): Promise<void> {
    // Nest's own look-up first tries to read the name as JSON, and fails: a stack for every message.
    const handler = this.messageHandlers.get(pattern);
    if (handler === undefined) throw new PosternError('service.internal', `Nothing works off ${pattern}`);
    const payload = parses ? payloadOf(message) : undefined;
    const result = this.transformToObservable(await handler(payload, message));
    await lastValueFrom(result, { defaultValue: undefined });
  }
}

/** How the messages of one consumer are handled, traced and measured. */
interface Work {
  readonly pattern: string;
  readonly parses: boolean;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly observe: (seconds: number) => void;
}

/** @source OpenTelemetry semantic conventions, messaging spans */
const processing = Object.freeze({
  'messaging.system': 'nats',
  'messaging.operation.name': 'process',
  'messaging.operation.type': 'process',
});

function labelsOf(pattern: string) {
  const { stream } = consumers[pattern as ConsumerKey];
  return { 'messaging.consumer.group.name': pattern, 'messaging.destination.name': stream };
}

/** A payload that is no JSON will never be one: it is given up, not put back. */
function payloadOf(message: WorkMessage): unknown {
  try {
    return message.json();
  } catch (error) {
    throw new PosternError('log.message_damaged', 'The payload is not JSON.', { cause: error });
  }
}
