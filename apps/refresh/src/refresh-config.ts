import { limits } from '@postern/contracts';
import { brokenAddresses } from '@postern/provider-client';
import { assertLimits, defineConfig, duration, flag, integer, text } from '@postern/service';

import { refreshLimits } from './refresh-limits.ts';

interface Times {
  readonly claimTimeoutMs: number;
  readonly providerTimeoutMs: number;
}

/** A claim must outlive every call it stands for, and end before its due message is delivered again. */
export function brokenTimes({ claimTimeoutMs, providerTimeoutMs }: Times): string | undefined {
  const providerMs = providerTimeoutMs * refreshLimits.providerCallsPerRefreshMax;
  try {
    assertLimits({ providerTimeoutMs: providerMs, claimTimeoutMs, refreshAckWaitMs: limits.refreshAckWaitMs });
    return undefined;
  } catch {
    return `must lie between twice POSTERN_PROVIDER_TIMEOUT (${providerMs}ms) and the wait for an acknowledgement (${limits.refreshAckWaitMs}ms)`;
  }
}

/** What `refresh` is told beside what every service is. */
export class RefreshConfig extends defineConfig(
  {
    /** For the demo and for tests: a provider on this machine, also over plain http. */
    allowLoopbackProviders: flag().default(false),
    /** Addresses and ranges that are no public ones, where a provider found by its metadata may be all the same. */
    allowedProviderAddresses: text().optional(),
    /** How long a claim lives. */
    claimTimeoutMs: duration({ minMs: 1_000, maxMs: 600_000 }).default(limits.claimTimeoutMs),
    /** About how often the schedules are compared with the log. */
    reconcileIntervalMs: duration({ minMs: 1_000, maxMs: 24 * 3_600_000 }).default(refreshLimits.reconcileIntervalMs),
    /** How soon a comparison that failed is begun again; each further one takes twice as long, up to the usual pause. */
    reconcileAgainMs: duration({ minMs: 100, maxMs: 24 * 3_600_000 }).default(refreshLimits.reconcileAgainMs),
    /** The provider's time for one call. */
    providerTimeoutMs: duration({ minMs: 100, maxMs: 300_000 }).default(limits.providerTimeoutMs),
    /** At most so many token calls a second for one client registration, from this process. */
    providerCallsPerSecond: integer({ min: 1, max: 10_000 }).default(refreshLimits.providerCallsPerSecond),
  },
  [
    { variable: 'POSTERN_CLAIM_TIMEOUT', broken: brokenTimes },
    {
      variable: 'POSTERN_ALLOWED_PROVIDER_ADDRESSES',
      broken: ({ allowedProviderAddresses }) => brokenAddresses(allowedProviderAddresses),
    },
  ],
) {}
