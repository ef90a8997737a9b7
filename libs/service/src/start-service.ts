import type { Abstract, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { AppName } from '@postern/contracts';
import { serveOperations, type Bus, type Endpoint, type ServedOperations } from '@postern/nats';
import type { DestinationStream } from 'pino';
import { reachBus } from './bus-connection.ts';
import { Clock } from './clock.ts';
import { readConfig, type Environment } from './config.ts';
import { DiscoveredEndpoints } from './discovered-endpoints.ts';
import { LogGuard } from './log-guard.ts';
import { Logger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { announceReady, createNestApp, type NestApp } from './nest-app.ts';
import { ReadinessRegistry } from './readiness.ts';
import { assertLimits } from './service-config.ts';
import { streamsOf, type ServiceDefinition } from './service-definition.ts';
import type { ServiceParts } from './service-module.ts';
import { shutDown } from './shutdown.ts';
import { measureSends } from './measured-sends.ts';
import { complainOfCollectors, sendMetrics, type MetricSender } from './otlp.ts';
import { atMost, flushMsMax, flushTelemetry, startTelemetry } from './telemetry.ts';

/** The release that `nats micro` shows. */
const serviceVersion = '0.1.0';

/** A service that takes requests. */
export interface RunningService {
  readonly app: AppName;
  readonly httpUrl: string;
  readonly httpPort: number;
  readonly logger: Logger;
  /** A provider of the app, by its class. */
  get<T>(token: Type<T> | Abstract<T>): T;
  /**
   * Not ready any more, takes nothing new, finishes what is in hand, ends its followers, leaves the bus.
   *
   * @returns whether all that ended within `shutdownGraceMs`. A second call gives the first one's answer.
   */
  stop(): Promise<boolean>;
  /** Resolves with the sentence to die with when the bus was closed for good, and never for `stop()`. */
  readonly busLost: Promise<string>;
}

export interface StartOptions {
  /** Ends the waiting for the bus. */
  readonly signal?: AbortSignal;
  /** Where log lines go; standard output when not given. */
  readonly logDestination?: DestinationStream;
  /** Compares every reply with its schema; for tests. */
  readonly checkReplies?: boolean;
  /** The machine's when not given. */
  readonly clock?: Clock;
}

/**
 * Starts a service inside this process, as tests do; `postern serve` uses {@link runService}.
 *
 * The order is: configuration, logger, telemetry, bus, its server and streams, Nest, operations, workers, HTTP.
 *
 * @throws {PosternError} `config.invalid` (also for a clock that is wrong), `log.config_differs`, `servers.too_old`, or
 *   what a provider's start throws.
 */
export async function startService(
  definition: ServiceDefinition,
  env: Environment,
  {
    signal = new AbortController().signal,
    logDestination,
    checkReplies = false,
    clock = new Clock(),
  }: StartOptions = {},
): Promise<RunningService> {
  assertLimits();
  const config = readConfig(definition.config, env);
  const base = { app: definition.app, instance: config.instanceId };
  const destination = logDestination === undefined ? {} : { destination: logDestination };
  const logger = new Logger({ level: config.logLevel, base, ...destination });
  const teller = { app: definition.app, instanceId: config.instanceId, version: serviceVersion };
  await startTelemetry(env, teller);
  complainOfCollectors(logger);
  const bus = await reachBus({ app: definition.app, config, env, logger, signal });
  const shared = { app: definition.app, configClass: definition.config, config, logger, bus };
  const metrics = new Metrics();
  measureSends(bus, metrics);
  const parts = { ...shared, metrics, readiness: new ReadinessRegistry(), clock };
  const service = new Service(definition, parts, {
    checkReplies,
    metricSender: await sendMetrics(env, metrics, teller),
  });
  try {
    await service.start();
    return service;
  } catch (error) {
    await service.stop();
    throw error;
  }
}

class Service implements RunningService {
  readonly app: AppName;
  readonly logger: Logger;
  readonly busLost: Promise<string>;
  readonly #definition: ServiceDefinition;
  readonly #parts: ServiceParts;
  readonly #checkReplies: boolean;
  readonly #metricSender: MetricSender | undefined;
  readonly #guard: LogGuard;
  #app: NestApp | undefined;
  #operations: ServedOperations | undefined;
  #started = false;
  #stopped: Promise<boolean> | undefined;
  #httpPort = 0;

  constructor(
    definition: ServiceDefinition,
    parts: ServiceParts,
    { checkReplies, metricSender }: { checkReplies: boolean; metricSender: MetricSender | undefined },
  ) {
    this.#checkReplies = checkReplies;
    this.#metricSender = metricSender;
    this.app = definition.app;
    this.logger = parts.logger;
    this.#definition = definition;
    this.#parts = parts;
    this.#guard = new LogGuard(parts, streamsOf(definition));
    this.busLost = this.#watch(parts.bus);
  }

  get httpPort(): number {
    return this.#httpPort;
  }

  get httpUrl(): string {
    const { httpHost } = this.#parts.config;
    const host = httpHost === '0.0.0.0' || httpHost === '::' ? '127.0.0.1' : httpHost;
    return `http://${host.includes(':') ? `[${host}]` : host}:${this.#httpPort}`;
  }

  get<T>(token: Type<T> | Abstract<T>): T {
    return this.#nest().get<T>(token, { strict: false });
  }

  async start(): Promise<void> {
    const { bus, config, metrics, readiness, logger } = this.#parts;
    readiness.add('service', () => (this.#stopped !== undefined ? 'stopping' : this.#started ? true : 'starting'));
    readiness.add('bus', () => (bus.isConnected ? true : 'disconnected'));
    metrics.gauge('postern.feed.age', () => readiness.feedAgesMs().map(([feed, ms]) => [{ feed }, ms / 1_000]));
    await this.#guard.begin();
    this.#app = await createNestApp(this.#parts, this.#definition.module, () => this.#stopped !== undefined);
    const nest = this.#nest();
    await nest.init();
    const discovered = nest.get(DiscoveredEndpoints);
    await announceReady(discovered.instances());
    const endpoints = discovered.of(this.app);
    this.#operations = await this.#serve(endpoints);
    await nest.startAllMicroservices();
    await nest.listen(config.httpPort, config.httpHost);
    this.#httpPort = portOf(nest);
    this.#started = true;
    logger.info('ready', { httpPort: this.#httpPort, operations: endpoints.map(({ operation }) => operation.name) });
  }

  stop(): Promise<boolean> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<boolean> {
    const { bus, config, logger } = this.#parts;
    logger.info('stopping');
    this.#guard.stop();
    const steps = [
      { name: 'requests and messages in hand', run: () => this.#finish() },
      { name: 'followers', run: async () => this.#app?.nest.close() },
      { name: 'the bus', run: () => bus.drain() },
      { name: 'telemetry', run: () => this.#flush() },
    ];
    const inTime = await shutDown(steps, config.shutdownGraceMs, logger);
    logger.info('stopped', { inTime });
    return inTime;
  }

  async #serve(endpoints: readonly Endpoint[]): Promise<ServedOperations> {
    const { bus, config, logger } = this.#parts;
    return await serveOperations(bus, {
      name: this.app,
      version: serviceVersion,
      endpoints,
      metadata: { instance: config.instanceId },
      checkReplies: this.#checkReplies,
      // What a handler threw has its log line already, inside its span.
      onError: ({ code, message }, { subject, correlationId }) => {
        if (code === 'bus.reply_refused' || this.#checkReplies)
          logger.warn(message, { code, subject, correlation_id: correlationId });
      },
    });
  }

  /** A collector that hangs must not take what is left of the grace. */
  async #flush(): Promise<void> {
    await Promise.all([flushTelemetry(), atMost(flushMsMax, this.#metricSender?.stop())]);
  }

  /** All three doors close at once, so that the grace is theirs together. */
  async #finish(): Promise<void> {
    const http = this.#started ? this.#nest().getHttpAdapter().getInstance().close() : undefined;
    await Promise.all([http, this.#operations?.stop(), this.#app?.transport.close()]);
  }

  #nest(): NestFastifyApplication {
    if (this.#app === undefined) throw new Error('The service has no Nest application yet');
    return this.#app.nest;
  }

  async #watch(bus: Bus): Promise<string> {
    const error = await bus.closed;
    if (this.#stopped !== undefined) return await new Promise<never>(() => {});
    const reason = error instanceof Error ? error.message : 'the server ended the connection';
    return `The bus was closed for good (${reason}); the service cannot go on without it.`;
  }
}

function portOf(nest: NestFastifyApplication): number {
  const address = nest.getHttpServer().address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('The HTTP server has no port');
}
