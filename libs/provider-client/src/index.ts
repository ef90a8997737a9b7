export { accountDigest, accountKeyDigest, issuerAndSubjectKey, type AccountScope } from './account-key-digest.ts';
export { AddressGuard, type ResolveName } from './address-guard.ts';
export { addressesIn, brokenAddresses, providerAddresses } from './allowed-addresses.ts';
export { type AuthorizationRequest } from './authorization-url.ts';
export { type Callback } from './callback.ts';
export {
  heldClientSecret,
  type ClientCredential,
  type ClientCredentialSource,
  type TokenEndpointAuthMethod,
} from './client-authentication.ts';
export { challengeParameters, claimsIn } from './challenge.ts';
export { DpopNonces, type DpopProofRequest, type DpopProver } from './dpop.ts';
export { DiscoveryCache, type DiscoveryCacheOptions } from './discovery-cache.ts';
export {
  answerBytesMax,
  callErrorReason,
  callErrorStatus,
  guardedFetch,
  type GuardedFetch,
  type GuardedFetchOptions,
} from './guarded-fetch.ts';
export { nextIntervalS } from './device.ts';
export {
  retryAfterMsMax,
  type ClientRejected,
  type DeviceAuthorized,
  type Exchanged,
  type Failed,
  type IntrospectOutcome,
  type ProbeOutcome,
  type ProviderAccount,
  type Refreshed,
  type Refusal,
  type Rejected,
  type RevokeOutcome,
  type Undecided,
} from './outcomes.ts';
export { mayPass } from './refusal.ts';
export { meetResource, type ClientDocument, type MetResource, type NewClient } from './meet-resource.ts';
export { bindsTokens, type AskedFeatures } from './features.ts';
export {
  renewByIdentity,
  type Asserted,
  type IdentityRenewal,
  type ShownIdentity,
  type WantedAssertion,
} from './identity-assertion.ts';
export type { ShownAssertion } from './installation-token.ts';
export { shownTokens, type ShownToken, type ShownTokens } from './token-exchange.ts';
export type { CodeExchange, RequestSigner } from './authorize.ts';
export { ProviderClient, type ClientRegistration, type ProviderClientOptions } from './provider-client.ts';
