import { Module, type DynamicModule, type Provider } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { AppName } from '@postern/contracts';
import { CommitReader } from '@postern/event-log';
import { Bus } from '@postern/nats';
import { ClientCredentials } from './client-credentials.ts';
import { Clock } from './clock.ts';
import type { ConfigClass } from './config.ts';
import { DpopProofs } from './dpop-proofs.ts';
import { RequestObjects } from './request-objects.ts';
import { DiscoveredEndpoints } from './discovered-endpoints.ts';
import { EventLogs } from './event-logs.ts';
import { HealthController } from './health-controller.ts';
import { Logger } from './logger.ts';
import { Metrics } from './metrics.ts';
import { OperationsClient } from './operations-client.ts';
import { PassOver } from './pass-over.ts';
import { ProblemFilter } from './problem-filter.ts';
import { RawRoutes } from './raw-routes.ts';
import { ReadinessRegistry } from './readiness.ts';
import { ServiceConfig } from './service-config.ts';
import { ServiceIdentity } from './service-identity.ts';
import { ServiceKeys } from './service-keys.ts';
import { Trust } from './trust.ts';

/** What a service has before Nest begins. */
export interface ServiceParts {
  readonly app: AppName;
  readonly configClass: ConfigClass<ServiceConfig>;
  readonly config: ServiceConfig;
  readonly logger: Logger;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly readiness: ReadinessRegistry;
  readonly clock: Clock;
}

/**
 * Gives every provider of an app, by class: its configuration (by its own class and by `ServiceConfig`), `Logger`,
 * `Bus`, `EventLogs`, `Trust`, `CommitReader`, `ServiceKeys`, `OperationsClient`, `ClientCredentials`, `DpopProofs`, `RequestObjects`,
 * `Clock`, `Metrics`, `PassOver`, `ReadinessRegistry`, `ServiceIdentity`, `RawRoutes`.
 *
 * It is global: `startService` puts it beside the app's module, which imports nothing of it.
 */
@Module({})
export class ServiceModule {
  static forRoot(parts: ServiceParts): DynamicModule {
    const providers = providersOf(parts);
    return {
      module: ServiceModule,
      global: true,
      imports: [DiscoveryModule],
      controllers: [HealthController],
      providers: [
        ...providers,
        OperationsClient,
        ClientCredentials,
        DpopProofs,
        RequestObjects,
        DiscoveredEndpoints,
        ProblemFilter,
        RawRoutes,
      ],
      exports: [...providers.map(tokenOf), OperationsClient, ClientCredentials, DpopProofs, RequestObjects, RawRoutes],
    };
  }
}

function providersOf(parts: ServiceParts): Provider[] {
  const { app, configClass, config, logger, bus, metrics, readiness, clock } = parts;
  const trust = new Trust(config.trust);
  return [
    { provide: ServiceConfig, useValue: config },
    ...(configClass === (ServiceConfig as unknown) ? [] : [{ provide: configClass, useValue: config }]),
    { provide: Logger, useValue: logger },
    { provide: Bus, useValue: bus },
    { provide: EventLogs, useValue: new EventLogs(bus) },
    { provide: Trust, useValue: trust },
    { provide: CommitReader, useValue: trust.reader },
    { provide: ServiceKeys, useValue: new ServiceKeys(app, config) },
    { provide: Clock, useValue: clock },
    { provide: Metrics, useValue: metrics },
    { provide: ReadinessRegistry, useValue: readiness },
    { provide: PassOver, useValue: new PassOver() },
    { provide: ServiceIdentity, useValue: new ServiceIdentity({ app, instanceId: config.instanceId }) },
  ];
}

function tokenOf(provider: Provider) {
  return 'provide' in provider ? provider.provide : provider;
}
