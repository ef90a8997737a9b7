import { consumers, limits } from '@postern/contracts';

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
  /** How long one waits for the end of a feed: at the start, and for something that may have been written just now. */
  feedReadyWaitMs: 30 * secondMs,
  catchUpWaitMs: 2 * secondMs,
  /** Strangers who name what was never there make us look at the end of the log no oftener. */
  catchUpIntervalMs: 25,
  /** A provider sends a delivery in one go, and some wait three seconds for the answer. */
  webhookBodyTimeoutMs: 5 * secondMs,
  webhookUnfinishedBytesMax: 64 * 1024 * 1024,
  /** How far the time that a sender signed may be from ours. */
  webhookAgeMsMax: 300 * secondMs,
  webhookDepthMax: 32,
  /** Webhook secrets stay in memory so long; a delivery that fits none of them makes us ask for newer ones. */
  webhookSecretsCachedMs: 60 * secondMs,
  webhookSecretsAgeMsMin: 2 * secondMs,
  webhookSecretsCachedMax: 1_000,
  /** Deliveries of one path that are not verified, before they are only counted. */
  unverifiedBurstMax: 30,
  unverifiedPerSecondMax: 1,
  /** The keys of a transmitter are fetched anew after so long, and for a key that is not known no oftener than this. */
  transmitterKeysCachedMs: 600 * secondMs,
  transmitterKeysAgeMsMin: 5 * secondMs,
  transmitterKeysTimeoutMs: 4 * secondMs,
  transmittersCachedMax: 1_000,
  /** How often it is looked whether there are transmitters to poll, and how often one is asked that has nothing. */
  pollLookIntervalMs: secondMs,
  pollIntervalMs: 5 * secondMs,
  pollTimeoutMs: 15 * secondMs,
  /** How long one may keep its answer back until it has something: less than what stands in between usually allows. */
  pollHoldMs: 50 * secondMs,
  /** One that could not is asked as often as above for so long. */
  pollHoldPauseMs: 600 * secondMs,
  pollEventsMax: 32,
  /** One that cannot be polled is asked again after this long at first, doubling up to the longest. */
  pollRetryDelayMsMin: secondMs,
  pollRetryDelayMsMax: 300 * secondMs,
  pollRetryAfterMsMax: hourMs,
  /** How long the answer to a verification is waited for, and how often it is looked for. */
  verificationWaitMs: 15 * secondMs,
  verificationLookMs: 250,
  verificationTimeoutMs: 5 * secondMs,
  databaseConnectionsMax: 8,
  /** How many connections are written to the index at a time. */
  indexBatchMax: 500,
  /** How many connections of one signal are looked up at a time. */
  indexPageMax: 500,
  /** How far the log may have gone on without a word for the index, before that is written down. */
  indexUnkeptMax: 1_000,
  indexRetryMs: secondMs,
  /** How long a signal waits for the index to have read the log. */
  indexWaitMs: 5 * secondMs,
  signalConcurrencyMax: 32,
  /** How many connections of one signal are decided at a time. */
  signalFanOutMax: 64,
  /** A signal that nobody matches comes back, since somebody may be authorizing just now, until nobody can be. */
  unmatchedRetryDelayMsMin: 2 * secondMs,
  unmatchedRetryDelayMsMax: 60 * secondMs,
  unmatchedRetriedMs: limits.sessionTtlMs + 60 * secondMs,
  /** Questions to a provider about suspected grants of one client registration, and when the next in line comes back. */
  inquiriesAtOnceMax: 4,
  inquiryTurnMs: secondMs,
  /** So many connections of one client registration whose tokens are refused within this time are an outage at first. */
  waveConnectionsMin: 10,
  waveWindowMs: 60 * secondMs,
  /** How long nobody is asked about in a wave after a question without an answer; doubled each time. */
  wavePauseMsMin: 5 * secondMs,
  wavePauseMsMax: 60 * secondMs,
  waveRegistrationsMax: 1_000,
  waveConnectionsMax: 1_000,
  /** A provider that had no answer about a suspected grant is asked again, less and less often, for so long. */
  inquiryRetryDelayMsMin: 2 * secondMs,
  inquiryRetryDelayMsMax: 600 * secondMs,
  inquiryRetriedMs: 2 * hourMs,
  /** An access token that lives longer than this hides a dead grant from the refreshes, and makes it asked about first. */
  accessTokenLifeMsAtRisk: 24 * hourMs,
  /** How often it is looked whether somebody is to be asked about, and how often where nobody is for now. */
  inspectionLookIntervalMs: secondMs,
  inspectionIdleLookMs: 60 * secondMs,
  /** Registrations for whom a provider is asked at a time, and connections that are passed over at one look. */
  inspectedRegistrationsMax: 16,
  inspectionPassedOverMax: 50,
  /** A provider that had no answer is left alone for so long at first, doubling up to the longest. */
  inspectionPauseMsMin: 60 * secondMs,
  inspectionPauseMsMax: hourMs,
  inspectionRetryAfterMsMax: 24 * hourMs,
  signalWorkingIntervalMs: Math.floor(consumers.signalDecisions.ackWaitMs / 3),
  /** How long the provider is told nothing while another connection, which its answer would end, still lives. */
  cascadeWaitMs: 30 * secondMs,
  upstreamConcurrencyMax: 32,
  /** Telling a provider is tried again after this long at first, doubling up to the longest. */
  upstreamRetryDelayMsMin: secondMs,
  upstreamRetryDelayMsMax: 6 * hourMs,
  /** A provider that cannot be told for so long is given up on. */
  upstreamGiveUpAfterMs: 7 * 24 * hourMs,
  /** How often the bus hears that a slow provider is still being told; well within the acknowledgement's time. */
  upstreamWorkingIntervalMs: Math.floor(consumers.upstreamRevocation.ackWaitMs / 3),
});
