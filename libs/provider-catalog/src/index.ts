export { highRiskScopes, hostsOf, isAbove, riskOf, worstRisk, type KnownRisk } from './access.ts';
export {
  classifyAnswer,
  generalAnswers,
  type AnswerMeaning,
  type AnswerRow,
  type Classified,
  type TokenAnswer,
} from './answer-table.ts';
export {
  classifyProbe,
  refusalMeaningOf,
  type ApiAnswer,
  type ApiRefusal,
  type ProviderApi,
  type RefusalMeaning,
  type TokenProbe,
} from './api.ts';
export { bestEvidenceOf, evidenceOf, type EvidenceCounts } from './evidence.ts';
export { Evidence, isAssumed, type Fact } from './fact.ts';
export {
  loadCatalog,
  parseProviderFile,
  parseProviderVersion,
  providerAt,
  providerOf,
  providersDir,
  type Catalog,
  type VersionedCatalog,
} from './load-catalog.ts';
export { ProviderFile } from './provider-file.ts';
export { providerJsonSchema } from './provider-schema.ts';
export {
  leadDefaultS,
  type Provider,
  type ProviderEndpoints,
  type ProviderParameter,
  type RefreshPolicy,
  type StaticCredential,
} from './provider.ts';
export { saysDone, saysGone, type ProviderRevocation, type RevocationCall, type RevocationEnds } from './revocation.ts';
export { requestFor, scopesFor, type ChosenScope, type Risk, type ScopeMatrix, type ScopeRow } from './scope-matrix.ts';
export { strategyNames, type StrategyName } from './strategies.ts';
export { requireGrantType, requireSomeGrantType, resolveProvider, type ResolvedProvider } from './resolve-provider.ts';
export {
  loadKnownTransmitters,
  loadSecurityEvents,
  type KnownTransmitter,
  type SecurityEventMeanings,
} from './security-events.ts';
export {
  fingerprintKey,
  subjectOfEvent,
  timeOfEvent,
  tokenFingerprints,
  withoutTokens,
  type EventSubject,
  type TokenFingerprint,
} from './subject-identifiers.ts';
export { textAt, withoutMembers } from './member-path.ts';
export {
  instantAt,
  namedAccounts,
  namedAccountsMax,
  readDelivery,
  type AccountName,
  type NamedAccount,
  type ProviderWebhook,
  type ReadDelivery,
  type WebhookEvent,
} from './webhook.ts';
