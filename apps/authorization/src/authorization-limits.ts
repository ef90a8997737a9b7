import { limits } from '@postern/contracts';

/** Limits of this app alone. */
export const authorizationLimits = Object.freeze({
  /** How long an ended session is still told apart from one that never was. */
  sessionRememberedMs: 2 * limits.sessionTtlMs,
  /** How long a request waits until this process has seen the end of a log. */
  catchUpWaitMs: 2_000,
  feedReadyWaitMs: 30_000,
  /** How often an exchanged token set is offered to the vault; it cannot be had again. */
  storeAttemptsMax: 4,
  storeRetryDelayMs: 250,
  promoteAttemptsMax: 3,
  /** So many connections of an import are worked on at a time; so many of their providers are asked. */
  importInFlightMax: 8,
  /** How long one process may ask about a device code before it says so again, beside the interval between its questions. */
  pollingMs: 20_000,
  /** So long before the end of that no further question is begun: its answer must be stored by then. */
  pollingMarginMs: limits.providerTimeoutMs + 2_000,
  /** How often the page with a user code looks whether it is done. */
  userCodePageRefreshS: 5,
  /** How long a page that was shown may be acted upon. */
  pageTtlMs: limits.sessionTtlMs,
  /** How long an authorization server may keep the document of a client of ours: a new key waits no longer. */
  clientDocumentMaxAgeS: 300,
});
