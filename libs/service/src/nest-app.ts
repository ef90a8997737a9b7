import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createHttpAdapter } from './http-server.ts';
import { JetStreamTransport } from './jetstream-transport.ts';
import { NestLogger } from './nest-logger.ts';
import { PassOver } from './pass-over.ts';
import { ProblemFilter } from './problem-filter.ts';
import type { OnServiceReady } from './service-definition.ts';
import { ServiceModule, type ServiceParts } from './service-module.ts';

/** @internal A Nest application of a service, not yet initialised. */
export interface NestApp {
  readonly nest: NestFastifyApplication;
  readonly transport: JetStreamTransport;
}

@Module({})
class RootModule {
  static of(parts: ServiceParts, module: Type): DynamicModule {
    return { module: RootModule, imports: [ServiceModule.forRoot(parts), module] };
  }
}

/** @internal Composes the app's module with what every service has. */
export async function createNestApp(parts: ServiceParts, module: Type, isStopping: () => boolean): Promise<NestApp> {
  const { logger, metrics, bus, config } = parts;
  const adapter = createHttpAdapter({ logger, metrics, publicUrl: config.publicUrl, isStopping });
  const nest = await NestFactory.create<NestFastifyApplication>(RootModule.of(parts, module), adapter, {
    logger: new NestLogger(logger),
    abortOnError: false,
  });
  nest.useGlobalFilters(nest.get(ProblemFilter, { strict: false }));
  const { lookOf } = nest.get(PassOver, { strict: false });
  const transport = new JetStreamTransport({ bus, logger, metrics, lookOf });
  nest.connectMicroservice({ strategy: transport });
  return { nest, transport };
}

/** @internal Lets every provider begin what it begins when all others stand. */
export async function announceReady(instances: Iterable<unknown>): Promise<void> {
  const listeners = [...instances].filter(isListener);
  await Promise.all(listeners.map(async (listener) => listener.onServiceReady()));
}

function isListener(instance: unknown): instance is OnServiceReady {
  return typeof instance === 'object' && instance !== null && 'onServiceReady' in instance;
}
