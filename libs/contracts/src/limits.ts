/** Limits shared by several apps, each with its unit in the name. Limits of one app stand in that app. */
export const limits = Object.freeze({
  /** A stored commit with its headers; NATS allows 1 MiB, and large messages slow every reader. */
  commitBytesMax: 256 * 1024,
  eventsPerCommitMax: 16,
  /** Commits that stand in the log together or not at all; the server takes 1,000. */
  togetherMax: 250,
  /** A request on the bus or over HTTP. */
  requestBytesMax: 64 * 1024,
  /** A token set as a provider answered it. */
  tokenSetBytesMax: 32 * 1024,
  /** A longer ID token is not kept: most have a few hundred characters, and every lease reads past it. */
  idTokenCharsMax: 8_192,
  /** Connections of one import: more are several imports. */
  importRowsMax: 200,
  /** An import with its tokens, over HTTP and, sealed, on the bus, which takes a mebibyte. */
  importBytesMax: 640 * 1024,
  importTimeoutMs: 120_000,
  scopesMax: 100,
  capabilitiesMax: 50,
  authorizationDetailsMax: 16,
  authorizationDetailsTypeCharsMax: 128,
  /** As JSON: a URL carries them, sealed, to the page from which the browser goes to the provider. */
  authorizationDetailsBytesMax: 2_048,
  /** As JSON: providers may say more in what they grant than they were asked. */
  authorizationDetailsGrantedBytesMax: 8_192,
  /** What is said at a token endpoint beside the standard's own. */
  grantParametersMax: 16,
  grantParameterCharsMax: 2_048,
  /** Services that one exchanged token is for, by each kind of name. */
  exchangeTargetsMax: 8,
  /** How many exchanges may stand between a connection and the one an end user authorized. */
  delegationStepsMax: 4,
  idempotencyKeyCharsMax: 128,
  /** When a person is reminded to replace a credential that was made by hand. */
  rotateAfterSMin: 1,
  rotateAfterSMax: 10 * 365 * 86_400,
  scopeCharsMax: 256,
  purposeCharsMax: 256,
  endUserCharsMax: 256,
  returnUrlCharsMax: 2048,
  /** So many connections are named where others would end, too. */
  siblingsNamedMax: 100,
  reasonCharsMax: 256,
  /** What is kept of a provider's own words. */
  providerWordsCharsMax: 512,
  /** How long a connect session may take, from the request to its completion. */
  sessionTtlMs: 10 * 60_000,
  /** How often a follower proves that it has seen the end of the log. */
  feedProofIntervalMs: 250,
  /** How old that proof may be before its owner stops serving. */
  feedStaleMsMax: 2_000,
  /** How often a service compares the streams it stands on with what they must be. */
  streamCheckIntervalMs: 30_000,
  /** How far a service's clock and the servers' may be apart; two services may then be twice that apart. */
  clockSkewMsMax: 5_000,
  /** The provider's time to answer at the token endpoint. */
  providerTimeoutMs: 8_000,
  /** How long a claim lives; longer than the provider's time and the vault's together. */
  claimTimeoutMs: 20_000,
  /** How long a due message may be worked on before it is delivered again; longer than a claim. */
  refreshAckWaitMs: 24_000,
  /** How long a lease waits for a refresh. */
  leaseRefreshWaitMs: 15_000,
  /** How long a lease waits for its record to be durable. */
  leaseRecordWaitMs: 2_000,
  /** A token that lives shorter than this is refreshed in the background when it is leased. */
  refreshLeadMs: 5_000,
  requestTimeoutMs: 5_000,
  /** How often a service that is asked over the bus says that it is still at work. */
  callBeatMs: 500,
  /** After so much silence whoever was asked counts as gone: it may be asked again, another one will answer. */
  callSilenceMsMax: 2_500,
  platformTokenTtlS: 900,
  minTtlSMax: 86_400,
  /** How long a client assertion or a DPoP proof may be used; it is used at once, and once. */
  assertionTtlS: 60,
  /** How long a signed authorization request may be used: the browser carries it at once. */
  requestObjectTtlS: 300,
  /** How long the previous secret of a registration stays usable beside a new one, unless told otherwise. */
  secretOverlapMs: 24 * 3_600_000,
  secretOverlapMsMax: 90 * 24 * 3_600_000,
  /** Versions of one kind that a registration can have in use at a time. */
  secretsInUseMax: 3,
  /** A provider that said a grant lives is not asked again for so long because of what platforms report. */
  inquiryIntervalMs: 15 * 60_000,
  /** A token that nobody suspects is shown to its provider no oftener, and no sooner after it was heard from. */
  inspectionIntervalMsMin: 6 * 3_600_000,
  listPageMax: 200,
  /** A delivery of a provider's webhook: with its frame it fits into a message of SIGNALS. */
  webhookBytesMax: 256 * 1024,
  /** A security event token; they say very little. */
  securityEventBytesMax: 64 * 1024,
});
