import { limits } from '@postern/contracts';

const seatsMax = 64;
const placesMax = 4_096;

/** Limits of `refresh` alone. */
export const refreshLimits = Object.freeze({
  /**
   * How many due messages one process works on at a time. Each mostly waits for its provider: three quarters of them, which
   * one tenant gets, make 120 refreshes a second where one takes 0.4 s. More would only leave more claims to be taken over
   * when a process dies.
   */
  seatsMax,
  /** How many wait for a seat, besides, of what is planned; and as many that somebody waits for. They are a few kilobytes each. */
  placesMax,
  /** How many due messages are in its hands at a time: at work, and waiting for it. */
  workConcurrencyMax: seatsMax + 2 * placesMax,
  /** Whoever waits and works for longer than this tells the server, which waits for the acknowledgement. */
  workUntoldMs: limits.refreshAckWaitMs - 2_000,
  /** How many it asks for at a time: what finds neither seat nor place is put back as quickly as it comes. */
  workPrefetchMax: 1_024,
  /** At most so many token calls for one client registration, unless configured otherwise. */
  providerCallsPerSecond: 500,
  /** States of connections in memory, kept by the follower. */
  connectionsCachedMax: 50_000,
  /** Longer than any claim lives: how far back the log is read for claims that stand. */
  claimsSeenBackMs: 60_000,
  /** How long the start waits for the feed to be proved. */
  feedReadyWaitMs: 30_000,
  /** A caller that waits as long as a lease does must hear the answer before it gives up. */
  replyMarginMs: 500,
  /** How long a waiter listens before it makes sure that a due message still stands. */
  knockAgainMs: 1_000,
  /** How often one due message may take over a dead claim and try again before it is put back. */
  stepsPerDueMax: 4,
  putBackMs: 1_000,
  /** About how often the schedules are compared with the log. */
  reconcileIntervalMs: 5 * 60_000,
  /** How soon one that failed is begun again. */
  reconcileAgainMs: 5_000,
  /** For how long one client, with its secret, serves the refreshes that begin. */
  clientKeptMs: 1_000,
  /** A token call may have to fetch the provider's metadata first. */
  providerCallsPerRefreshMax: 2,
  /** The pause after a failure; it grows with the time for which refreshing has been failing. */
  retryDelayMsMin: 4_000,
  retryDelayMsMax: 15 * 60_000,
  /** A pause is no longer than this share of the time after which a resting refresh token ends. */
  retryRestShareMax: 0.1,
  /** The first pause where no provider was asked, because a service of ours was gone for a moment. */
  ownRetryDelayMsMin: 500,
  /** What was bought is offered to the vault and the log this often, some ten minutes, before it is given up. */
  insistAttemptsMax: 120,
  insistDelayMsMin: 100,
  insistDelayMsMax: 5_000,
  /** Tokens of a dead connection are offered to the provider for revocation this often. */
  revokeAttemptsMax: 3,
});
