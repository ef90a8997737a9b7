/** Limits of the read models. */
export const modelLimits = Object.freeze({
  /** Messages, and their bytes, that one transaction takes: what is in memory at a time is twice that. */
  batchMessagesMax: 1_000,
  batchBytesMax: 8 * 1024 * 1024,
  /** Connections whose rows a walk remembers, some three kilobytes each. */
  knownConnectionsMax: 10_000,
  /** How often a model looks whether the log has grown. */
  pollMs: 250,
  /** How often it looks at its checkpoint although the log has not grown: somebody may have restored one of the two. */
  lookMs: 5_000,
  /** How long it waits after a failure. */
  retryMs: 1_000,
  /** How often a rebuild tries again without getting any further. */
  attemptsMax: 10,
  /** Set aside messages of one model that an answer names; of more the count. */
  setAsideNamedMax: 100,
});
