export {
  accountExports,
  identityPermissions,
  importerName,
  importPermissions,
  bridgePermissions,
  platformPermissions,
  streamFilters,
  streamRights,
  streamsStoodOn,
  type Permissions,
} from './permissions.ts';
export { parseJson } from './parse-json.ts';
export { AccessGroup, AccessRecord, accessSignatureContext } from './access.ts';
export {
  administratorSignatureContext,
  administratorStatement,
  type AdministratorDecision,
} from './administrator-statement.ts';
export {
  adminEvents,
  AdministratorJwk,
  ApprovedRisk,
  isHttpsOrLoopback,
  ReturnUrl,
  SecurityEventDelivery,
  SignedBy,
  SpokenFor,
  CertificateFacts,
  TokenEndpointAuthMethod,
  WebhookUrl,
  type AdminEvent,
  type AdminEventType,
  ResourceUri,
} from './admin-events.ts';
export { AppName, appNames, IdentityName, identityNames } from './apps.ts';
export { CheckpointRecord, provenStreams, type ProvenStream } from './checkpoint.ts';
export { CarriedAuthorization, CarriedConnection } from './carried-connection.ts';
export {
  Actor,
  AggregateKind,
  aggregateKinds,
  Commit,
  commitEventType,
  commitHeaders,
  commitSignatureContext,
  StoredEvent,
} from './commit.ts';
export {
  connectionEvents,
  ReauthorizationCause,
  RevocationCause,
  type ConnectionEvent,
  type ConnectionEventType,
} from './connection-events.ts';
export {
  errorTable,
  isErrorCode,
  isPosternError,
  PosternError,
  toPosternError,
  type Delivery,
  type ErrorCode,
  type ErrorDetails,
  type ErrorRow,
  type PosternErrorOptions,
  type RetryAdvice,
} from './errors.ts';
export { ArchiveManifest, ArchiveStoreSettings } from './archive.ts';
export { ExportedMessage } from './exported-message.ts';
export { eventDefinitions, mayWrite, type EventDefinition, type PosternEvent } from './events.ts';
export { Freshness } from './freshness.ts';
export {
  HttpLeaseReply,
  HttpLeaseRequest,
  httpRoutes,
  machinePaths,
  TokenReply,
  TokenRequest,
  type HttpRoute,
  type HttpRouteKey,
} from './http-api.ts';
export {
  ConnectionHealth,
  ConnectionHealthState,
  ConnectionsHealth,
  HealthFailureKind,
  HealthOverview,
  ProviderHealth,
  ProviderHealthState,
} from './health.ts';
export {
  AdministratorId,
  AgentId,
  assertId,
  ClaimId,
  CommitId,
  ConnectionId,
  CorrelationId,
  CredentialId,
  derivedId,
  idPrefixes,
  isId,
  LeaseId,
  newId,
  PlatformId,
  RegistrationId,
  BridgeId,
  TransmitterId,
  WebhookId,
  SessionId,
  TenantId,
  type IdKind,
} from './ids.ts';
export { limits } from './limits.ts';
export {
  Delegation,
  DelegationView,
  derivedGrants,
  EstablishedGrant,
  type ExchangeParty,
  Grant,
  HttpEstablishedGrant,
  Renewal,
  renewableGrants,
  SenderConstraint,
  unattendedGrants,
} from './grants.ts';
export { credentialHeadersMax, HeaderName, SentAs, StaticSecret } from './static-credentials.ts';
export {
  metricCatalog,
  prometheusLabel,
  prometheusName,
  secondsBuckets,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type MetricName,
  type MetricRow,
} from './metric-catalog.ts';
export { RefreshStatus } from './refresh-status.ts';
export {
  DeliveredType,
  deliveredTypes,
  Notification,
  NotificationType,
  notificationTypes,
  WebhookNotice,
} from './notifications.ts';
export {
  administratorToken,
  callerOf,
  ConnectionView,
  EventView,
  LeaseReply,
  LeaseRequest,
  operationPattern,
  operations,
  operationSubject,
  SessionReply,
  type Caller,
  type CallerOf,
  type Operation,
  type OperationKey,
  type ReplyOf,
  type RequestOf,
} from './operations.ts';
export { asyncApiDocument } from './asyncapi.ts';
export { jsonSchemaOf, openApiDocument } from './openapi.ts';
export {
  ModelName,
  modelNames,
  Projection,
  ProjectionRebuilt,
  ProjectionsList,
  ProjectionVerified,
} from './projections.ts';
export { errorOfProblem, parseRequest, Problem, problemOf } from './problem.ts';
export {
  AggregateChange,
  ConnectionScopesReply,
  ConnectionUse,
  Facts,
  Moment,
  MomentAsked,
  momentParts,
  UsableConnection,
  UsingPlatform,
  type MomentParts,
} from './questions.ts';
export { LeaseReceipt, leaseReceiptType } from './receipt.ts';
export { RefreshDue } from './refresh-due.ts';
export { consumers, streams, type ConsumerKey, type ConsumerSpec, type StreamKey, type StreamSpec } from './streams.ts';
export { adminAggregates, currentEpoch, epochOf, inboxPrefix, subjects, type AdminAggregate } from './subjects.ts';
export { RegistrationSecretKind, registrationSecretRights } from './registration-secrets.ts';
export {
  AuthorizationDetails,
  AuthorizationDetailsDigest,
  AuthorizationDetailsGranted,
  GrantedAuthorizationDetails,
} from './authorization-details.ts';
export { RequiredClaims } from './required-claims.ts';
export {
  InactiveToken,
  inspectionSource,
  RejectionReply,
  rejectionOutcomes,
  rejectionSource,
  ReportedRejection,
  TokenRejection,
} from './rejection.ts';
export { HttpImportRow, ImportedRow, ImportedTokens, ImportRow } from './imports.ts';
export { Inspection, InspectionOutcome } from './inspection.ts';
export { Signal, SignalEvidence, SignalMeaning, signalMeanings, SignalOutcome, WeighedSignal } from './signal.ts';
export { DeviceCode, TokenSet } from './token-set.ts';
export { LogTrust, TrustBundle } from './trust.ts';
export { WebhookAttempt, WebhookDelivery, WebhookDeliveryStatus } from './webhooks.ts';
export { KeysRetired, KeysRewrapped, KeysStatus } from './vault-keys.ts';
export {
  Capability,
  Base64Url,
  CompactJwe,
  CompactJws,
  Ed25519PublicJwk,
  JwsAlgorithm,
  ProviderVersion,
  Scope,
  Scopes,
  SigningPublicJwk,
  TimeMs,
  Timestamp,
  timestampOf,
  X25519PublicJwk,
} from './wire.ts';
