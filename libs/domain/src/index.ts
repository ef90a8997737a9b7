export {
  administratorEvolver,
  createAdministrator,
  disableAdministrator,
  issueAdministratorCredentials,
  type Administrator,
  type AdministratorEvent,
} from './administrator/administrator.ts';
export { requireEnabled, type AdminState } from './admin-events.ts';
export { agentEvolver, createAgent, disableAgent, type Agent, type AgentEvent } from './agent/agent.ts';
export { isAnotherAccount } from './connection/account.ts';
export { startAuthorization, type StartAuthorization } from './connection/authorize.ts';
export {
  claimReleased,
  interruptedClaims,
  interruptRefresh,
  isClaimLive,
  releaseRefreshToken,
  type InterruptRefresh,
  type ReleaseRefreshToken,
} from './connection/claim.ts';
export { requestDeletion, shredKey, type RequestDeletion, type ShredKey } from './connection/delete.ts';
export { moveToEpoch, type MoveToEpoch } from './connection/epoch.ts';
export { connectionEvolver } from './connection/evolve.ts';
export { freshnessOf, labelOf } from './connection/freshness.ts';
export { requireOwnedBy, type Owner } from './connection/guards.ts';
export {
  leaseDecision,
  requireUsableByBearer,
  type LeaseDecision,
  type LeaseQuestion,
} from './connection/lease-decision.ts';
export {
  missingScopesOf,
  recordInsufficientScope,
  requireClaims,
  type RecordInsufficientScope,
  type RequireClaims,
} from './connection/refused-use.ts';
export {
  recordRefreshed,
  recordRefreshFailed,
  recordRefreshRejected,
  refreshOutcomeFate,
  refreshOutcomeWelcome,
  type RecordRefreshed,
  type RecordRefreshFailed,
  type RecordRefreshRejected,
  type RefreshOutcomeFate,
} from './connection/refresh-outcome.ts';
export {
  announceAuthorizationEnd,
  announceRotation,
  boughtAtMs,
  earliestRefreshAtMs,
  refreshLeadShareMax,
  reliableUntilMs,
  servedUntilMs,
  type AnnounceAuthorizationEnd,
} from './connection/refresh-plan.ts';
export {
  hasEnded,
  nextAttemptAtMs,
  requireReauthorization,
  startRefresh,
  type RequireReauthorization,
  type StartRefresh,
} from './connection/refresh.ts';
export {
  recordUpstreamRevocationFailed,
  recordUpstreamRevoked,
  revokeConnection,
  upstreamRevocationOf,
  type RecordUpstreamRevocationFailed,
  type RecordUpstreamRevoked,
  type RevokeConnection,
  type UpstreamRevocation,
} from './connection/revoke.ts';
export { decideOnSignal, weightOf, type DecideOnSignal, type SignalWeight } from './connection/signal.ts';
export {
  completeAuthorization,
  completionOf,
  denyAuthorization,
  requireUnused,
  startCodeExchange,
  type CompleteAuthorization,
  type DenyAuthorization,
  type StartCodeExchange,
} from './connection/session.ts';
export type {
  Authorization,
  Claim,
  Connection,
  Credential,
  DevicePolling,
  Health,
  Interrupted,
  OpenSession,
  PastSession,
} from './connection/state.ts';
export {
  decideOnRejection,
  decideOnVerdict,
  inquiryOf,
  isSuspected,
  weightOfRejection,
  type DecideOnRejection,
  type DecideOnVerdict,
  type Inquiry,
  type RejectionWeight,
} from './connection/suspicion.ts';
export { inspectableToken, lastHeardAtMs, startInspection, type StartInspection } from './connection/inspection.ts';
export {
  resumeConnection,
  suspendConnection,
  type ResumeConnection,
  type SuspendConnection,
} from './connection/suspend.ts';
export {
  grantDeviceAuthorization,
  pollingEndsMs,
  startDeviceAuthorization,
  startDevicePolling,
  type GrantDeviceAuthorization,
  type StartDeviceAuthorization,
  type StartDevicePolling,
} from './connection/device.ts';
export { startEstablishment, type StartEstablishment } from './connection/establish.ts';
export {
  delegationChain,
  delegationOf,
  delegationView,
  endOfDelegation,
  loadDelegationChain,
  requireDelegation,
  type DelegationChain,
  type DelegationParty,
} from './connection/delegation.ts';
export { startImport, type StartImport } from './connection/import.ts';
export { canRefresh, hasReauthorizePage, isRenewable, isUnattended } from './connection/grants.ts';
export { viewOf, type ViewContext } from './connection/view.ts';
export { evolverOf, type Aggregates } from './evolver-of.ts';
export { fold, type EventMeta, type Evolver, type MetaEvent } from './evolver.ts';
export { createPlatform, disablePlatform, issuePlatformCredentials, issuePlatformSecret } from './platform/deciders.ts';
export { platformEvolver, type Platform, type PlatformEvent } from './platform/platform.ts';
export {
  createRegistration,
  disableRegistration,
  retireRegistrationSecret,
  storeRegistrationSecret,
  type StoreRegistrationSecret,
} from './registration/deciders.ts';
export {
  registrationEvolver,
  secretsInUse,
  type Registration,
  type RegistrationEvent,
  type RegistrationSecret,
} from './registration/registration.ts';
export {
  approvalEvolver,
  denyApproval,
  grantApproval,
  requestApproval,
  type Approval,
  type ApprovalEvent,
  type ApprovedAccess,
} from './approval/approval.ts';
export {
  addAdministrator,
  changePolicy,
  governanceEvolver,
  livingAdministrators,
  removeAdministrator,
  requireLivingAdministrator,
  type Governance,
  type GovernanceEvent,
  type GoverningAdministrator,
} from './governance/governance.ts';
export { changePinPolicy, promoteVersion, rollBack, startCanary } from './rollout/deciders.ts';
export { rolloutEvolver, type CurrentVersion, type Rollout, type RolloutEvent } from './rollout/rollout.ts';
export {
  pinnedOf,
  versionForAuthorization,
  versionForRegistration,
  versionInUse,
  type PinnedConnection,
} from './rollout/version-in-use.ts';
export { createTenant, disableTenant, tenantEvolver, type Tenant, type TenantEvent } from './tenant/tenant.ts';
export {
  bridgeEvolver,
  createBridge,
  disableBridge,
  issueBridgeCredentials,
  type Bridge,
  type BridgeEvent,
} from './bridge/bridge.ts';
export {
  changeTransmitterScope,
  createTransmitter,
  disableTransmitter,
  transmitterEvolver,
  type SpokenFor,
  type Transmitter,
  type TransmitterEvent,
} from './transmitter/transmitter.ts';
export {
  createWebhook,
  disableWebhook,
  hears,
  recordWebhookGone,
  storeWebhookSecret,
  webhookEvolver,
  webhookSecretsInUse,
  type StoreWebhookSecret,
  type Webhook,
  type WebhookEvent,
  type WebhookSecret,
} from './webhook/webhook.ts';
export { upcast, upcasterOf, type Upcaster, type UpcasterTable } from './upcast.ts';
