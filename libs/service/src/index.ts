export { callingApp, callingOwner, callingPlatform, type CallingOwner } from './callers.ts';
export { ClientCredentials, type ClientCredential, type ClientCredentialSource } from './client-credentials.ts';
export { DpopProofs, type Prove } from './dpop-proofs.ts';
export { RequestObjects } from './request-objects.ts';
export { Clock } from './clock.ts';
export { configClass, describeConfig, readConfig } from './config.ts';
export type { ConfigClass, ConfigEntry, ConfigRule, Environment } from './config.ts';
export { Field, type Fields, type FieldSource, type ValuesOf } from './config-field.ts';
export {
  choice,
  duration,
  flag,
  integer,
  keyFile,
  publicFileOf,
  secretFile,
  secretFileOf,
  text,
} from './config-fields.ts';
export { crashPoint, crashPoints, importCrashPoints, vaultCrashPoints, type CrashPoint } from './crash-point.ts';
export { eachOf } from './each-of.ts';
export { EventLogs } from './event-logs.ts';
export { PassOver, type LooksAtMessage } from './pass-over.ts';
export { JetStreamTransport, type JetStreamTransportOptions } from './jetstream-transport.ts';
export { Logger, type LogFields, type LoggerOptions } from './logger.ts';
export { measureDatabase, type AroundDatabase } from './measure-database.ts';
export { Counter, Histogram, Metrics, type Labels } from './metrics.ts';
export { OAuthEndpoint } from './oauth-endpoint.ts';
export { OperationsClient, type AskEveryOptions, type AskOptions } from './operations-client.ts';
export { printable, printableError, type PrintableError } from './printable.ts';
export { RawBodies, type RawBodyLimits } from './raw-body.ts';
export { RawRoutes, type RawHandler, type RawReply, type RawRequest } from './raw-routes.ts';
export { readConfigFile, type FileContent } from './config-files.ts';
export { ReadinessRegistry } from './readiness.ts';
export type { Feed, ReadinessAnswer, ReadinessCheck, ReadinessReport } from './readiness.ts';
export { correlationHeader, correlationId, currentCorrelationId } from './request-context.ts';
export { runService, type HostMessage, type ServiceHost } from './run-service.ts';
export { Serves } from './serves.ts';
export { assertLimits, defineConfig, ServiceConfig, serviceFields, type OrderedLimits } from './service-config.ts';
export type { OnServiceReady, ServiceDefinition } from './service-definition.ts';
export { ServiceIdentity } from './service-identity.ts';
export { ServiceKeys } from './service-keys.ts';
export { ServiceModule, type ServiceParts } from './service-module.ts';
export { startService, type RunningService, type StartOptions } from './start-service.ts';
export {
  annotate,
  commitOrigin,
  linkingHeaders,
  outgoingHeaders,
  startTelemetry,
  tellConsequence,
  withArrival,
  withCall,
  type Arrival,
  type CallOptions,
} from './telemetry.ts';
export { Trust } from './trust.ts';
export { settleFailed, settleOnce, type Settleable } from './work-settlement.ts';
export { Works } from './works.ts';
