/** Limits of the transit key service, each with its unit in the name. */
export const transitLimits = Object.freeze({
  /** One call to Vault; a login and one repetition may come on top. */
  requestTimeoutMs: 3_000,
  /** Connections kept open to Vault. */
  socketsMax: 32,
  /** A batch is the largest answer there is. */
  answerBytesMax: 4 * 1_024 ** 2,
  /** From a standby to the active node, which may have changed meanwhile. */
  redirectsMax: 2,
  /** Wrapped keys in one call of batch decrypt. */
  batchItemsMax: 1_000,
  /** A token is renewed when this part of its time is over. */
  renewAtPart: 0.6,
  /** A token is looked at this often at least, however long it lives; also what a timer can hold. */
  renewIntervalMsMax: 3_600_000,
  /** After a renewal that reached nobody. */
  renewRetryMs: 1_000,
  /**
   * A role id and secret id that Vault refused are not shown again sooner, unless their files changed: by its own
   * defaults Vault locks a role out for 15 minutes after five refused logins within 15 minutes.
   */
  refusedLoginRetryMs: 900_000,
  /** A role id or secret id. */
  credentialBytesMax: 4_096,
});
