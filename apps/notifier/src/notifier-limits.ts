const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

/** Limits of this app alone. */
export const notifierLimits = Object.freeze({
  /** How long a webhook may take to answer, unless configured otherwise. */
  webhookTimeoutMs: 15 * secondMs,
  /** What is being sent belongs to one process for so many times as long; after a crash another one sends it again. */
  claimTimeouts: 2,
  /** When it is tried again after each failure: together a day, then it is dead. */
  retryDelaysMs: [
    ...[5 * secondMs, minuteMs, 5 * minuteMs, 15 * minuteMs, 30 * minuteMs],
    ...[hourMs, 2 * hourMs, 4 * hourMs, 6 * hourMs, 10 * hourMs],
  ] as readonly number[],
  /** Of each of them: what failed together does not come back together. */
  retryJitterShare: 0.1,
  /** What is not ready on our side (vault, log, database) is no attempt, and comes back after this. */
  postponeMs: 2 * secondMs,
  /** Messages for one webhook under way at a time; for one whose last answer was a failure, one. */
  inFlightPerWebhookMax: 4,
  /** Messages under way in all, to webhooks that answer; those that fail have seats of their own, and take none of these. */
  inFlightMax: 64,
  inFlightFailingMax: 32,
  /** How often it is looked what is due that this process does not know of. */
  sweepIntervalMs: 15 * secondMs,
  /** How often what was settled long ago is deleted, and how long ago that is: as long as NOTIFICATIONS keeps it. */
  cleanIntervalMs: hourMs,
  settledKeptMs: 30 * 24 * hourMs,
  /** Messages that failed and that one request begins again. */
  redeliveredAtOnceMax: 500,
  fanOutConcurrencyMax: 32,
  secretsCachedMs: minuteMs,
  secretsCachedMax: 10_000,
  databaseConnectionsMax: 8,
  feedReadyWaitMs: 30 * secondMs,
  /** Checkpoints by size that are kept of each stream, beside the newest. */
  checkpointFilesMax: 1_024,
  witness: {
    /** How long a witness may take to answer. */
    timeoutMs: 15 * secondMs,
    /** When it is shown a checkpoint again that it did not cosign: doubled each time, up to the other. */
    retryDelayMs: 2 * secondMs,
    retryDelayMsMax: 5 * minuteMs,
  },
});
