import { consumers } from '@postern/contracts';

const secondMs = 1_000;
const hourMs = 3_600 * secondMs;

/** Limits of this app alone. */
export const revocationLimits = Object.freeze({
  /** How often it is asked which vaults there are, and how long such a question is open. */
  vaultLookIntervalMs: secondMs,
  vaultLookWaitMs: 150,
  /** How long a vault that does not show itself any more is still waited for. */
  vaultRememberedMs: 30 * secondMs,
  vaultsRememberedMax: 1_000,
  /** Beyond `feedStaleMsMax`: clocks that run unequally, and a vault between its last look at its feed and its answer. */
  confirmationMarginMs: 250,
  /** Between two questions to vaults of which some did not confirm. */
  confirmationPauseMs: 50,
  upstreamConcurrencyMax: 32,
  /** Telling a provider is tried again after this long at first, doubling up to the longest. */
  upstreamRetryDelayMsMin: secondMs,
  upstreamRetryDelayMsMax: 6 * hourMs,
  /** A provider that cannot be told for so long is given up on. */
  upstreamGiveUpAfterMs: 7 * 24 * hourMs,
  /** How often the bus hears that a slow provider is still being told; well within the acknowledgement's time. */
  upstreamWorkingIntervalMs: Math.floor(consumers.upstreamRevocation.ackWaitMs / 3),
});
