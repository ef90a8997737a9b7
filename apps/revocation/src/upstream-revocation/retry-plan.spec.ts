import { consumers, limits } from '@postern/contracts';

import { revocationLimits } from '../revocation-limits.ts';
import { isPatienceOver, retryDelayMs } from './retry-plan.ts';

const { upstreamRetryDelayMsMin, upstreamRetryDelayMsMax, upstreamGiveUpAfterMs } = revocationLimits;
const least = () => 0;
const most = () => 1 - Number.EPSILON;

test('each delay is twice the last one, half of it by chance, and bounded', () => {
  expect(retryDelayMs({ deliveries: 1, random: least })).toBe(upstreamRetryDelayMsMin / 2);
  expect(retryDelayMs({ deliveries: 1, random: most })).toBe(upstreamRetryDelayMsMin);
  expect(retryDelayMs({ deliveries: 4, random: most })).toBe(8 * upstreamRetryDelayMsMin);
  for (const deliveries of [40, 100_000, Number.MAX_SAFE_INTEGER]) {
    expect(retryDelayMs({ deliveries, random: most })).toBe(upstreamRetryDelayMsMax);
    expect(retryDelayMs({ deliveries, random: least })).toBe(upstreamRetryDelayMsMax / 2);
  }
});

test('a provider that asks for more time has it', () => {
  expect(retryDelayMs({ deliveries: 1, retryAfterMs: 60_000 })).toBe(60_000);
  expect(retryDelayMs({ deliveries: 1, retryAfterMs: 0, random: least })).toBe(upstreamRetryDelayMsMin / 2);
  expect(retryDelayMs({ deliveries: 1, retryAfterMs: null, random: least })).toBe(upstreamRetryDelayMsMin / 2);
});

test('patience ends after days, counted from the end of the connection', () => {
  expect(isPatienceOver({ sinceMs: 5, nowMs: 4 + upstreamGiveUpAfterMs })).toBe(false);
  expect(isPatienceOver({ sinceMs: 5, nowMs: 5 + upstreamGiveUpAfterMs })).toBe(true);
});

test('limits that hang together are in order', () => {
  expect(revocationLimits.upstreamWorkingIntervalMs * 2).toBeLessThan(consumers.upstreamRevocation.ackWaitMs);
  const confirmationMsMax = limits.feedStaleMsMax + revocationLimits.confirmationMarginMs;
  expect(confirmationMsMax * 2).toBeLessThan(limits.requestTimeoutMs);
  expect(revocationLimits.vaultLookIntervalMs * 2).toBeLessThan(revocationLimits.vaultRememberedMs);
});
