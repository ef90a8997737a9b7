/** Limits of the vault alone. */
export const vaultLimits = Object.freeze({
  /**
   * Data keys in memory, 32 bytes each, and how long one stays. More than the connections that are in use at once, or
   * each lease would push out what the next one needs; as long as a key service may take to be restarted and unsealed.
   */
  dataKeysCachedMax: 20_000,
  dataKeyCachedMsMax: 300_000,
  /** Ciphertexts of access tokens in memory, and how long one stays. */
  ciphertextsCachedMax: 20_000,
  ciphertextCachedMsMax: 300_000,
  /** First leases of one tenant that read the tables together, and that have their data keys opened together. */
  sealedRowBatches: { itemsMax: 256, inFlightMax: 2 },
  unwrapBatches: { itemsMax: 256, inFlightMax: 4 },
  /** Connections of one tenant whose stored versions are read together, and credentials that are written together. */
  versionBatches: { itemsMax: 64, inFlightMax: 1 },
  storeBatches: { itemsMax: 32, inFlightMax: 1 },
  /** Connections whose rows are known from the release of their refresh token until what it bought comes. */
  releasesKnownMax: 1_000,
  /** States of connections in memory, kept by the follower. */
  connectionsCachedMax: 50_000,
  cacheSweepIntervalMs: 10_000,
  /** How often the key service is asked how it is. */
  keyServiceCheckIntervalMs: 2_000,
  /** How often the caches look at the clock. */
  cacheClockMs: 100,
  /** How often a store that met another one looks again before it gives up. */
  storeAttemptsMax: 5,
  /** How often something sealed is read again because its data key was rotated meanwhile. */
  openAttemptsMax: 10,
  /** Data keys that one step of a rewrap takes, and owners whose data key one step replaces. */
  rewrapBatchKeysMax: 200,
  rotateBatchOwnersMax: 25,
  /** Data keys that a step has under way at the key service, so that leases find it free. */
  rewrapInFlightMax: 8,
  /** How long a confirmation of a position may wait for the follower. */
  confirmWaitMs: 4_000,
  /** How long the start waits for the feeds to be proved. */
  feedReadyWaitMs: 30_000,
  databaseRetryMs: 1_000,
  /** How often token sets of abandoned sessions are thrown away. */
  pendingSweepIntervalMs: 60_000,
});
