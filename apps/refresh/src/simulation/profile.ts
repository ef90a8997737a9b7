import { limits } from '@postern/contracts';

import { providerRules, slowed, type ProviderRules } from './providers.ts';
import type { Random } from './random.ts';
import type { RefreshTimes } from './refresh-process.ts';
import type { Faults } from './world.ts';

/** What happens in a run, and how often. */
export interface Profile {
  readonly connections: number;
  readonly tenants: number;
  readonly workers: number;
  readonly vaults: number;
  readonly durationMs: number;
  /** How long everything is given to come to its end. */
  readonly settleMs: number;
  readonly skewMsMax: number;
  /** How wrong the clock of one process of `refresh` is, far beyond that. */
  readonly wrongClockMs: number;
  readonly faults: Faults;
  readonly times: RefreshTimes;
  readonly providers: Readonly<Record<string, ProviderRules>>;
  /** On average, each connection. */
  readonly everyMs: Readonly<Record<'lease' | 'refreshNow' | 'suspend' | 'withdraw' | 'revoke' | 'authorize', number>>;
  /** On average, each provider. */
  readonly outageEveryMs: number;
  readonly outageMsMax: number;
  /** REFRESH is wiped now and then. */
  readonly wipes: boolean;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const times: RefreshTimes = Object.freeze({
  claimTimeoutMs: limits.claimTimeoutMs,
  providerTimeoutMs: limits.providerTimeoutMs,
  reconcileIntervalMs: 5 * minuteMs,
  reconcileAgainMs: 20 * minuteMs,
  providerCallsPerSecond: 500,
});

/** A small world in which much goes wrong; how much of what, the seed says. */
export function profileOf(random: Random): Profile {
  /** Often nothing, sometimes a little, seldom a lot. */
  const often = (most: number) => random.pick([0, most / 20, most / 5, most]);
  return {
    connections: random.between(4, 16),
    tenants: random.between(1, 3),
    workers: random.between(2, 4),
    vaults: random.between(1, 2),
    durationMs: random.pick([0.5, 1, 1.5]) * dayMs,
    settleMs: 16 * hourMs,
    skewMsMax: random.pick([0, limits.clockSkewMsMax]),
    wrongClockMs: random.pick([0, 0, 0, -hourMs, -minuteMs, minuteMs, hourMs]),
    faults: {
      crash: often(0.02),
      stall: often(0.01),
      loss: often(0.1),
      log: often(0.05),
      feed: often(0.1),
      staleRead: often(0.5),
      delivery: often(0.2),
      schedule: often(0.05),
      provider: often(0.6),
    },
    times: { ...times, reconcileIntervalMs: 20 * minuteMs },
    providers: providerRules,
    everyMs: {
      lease: 1.5 * hourMs,
      refreshNow: 12 * hourMs,
      suspend: 2 * dayMs,
      withdraw: 6 * dayMs,
      revoke: 3 * dayMs,
      authorize: 4 * hourMs,
    },
    outageEveryMs: random.pick([6 * hourMs, 100 * dayMs]),
    outageMsMax: 90 * minuteMs,
    wipes: random.happens(0.2),
  };
}

/** A small world in which what the guards are there for happens all the time, whatever the seed. */
export function harshProfileOf(random: Random): Profile {
  const profile = profileOf(random);
  return {
    ...profile,
    connections: 12,
    workers: 3,
    vaults: 2,
    durationMs: 0.75 * dayMs,
    skewMsMax: limits.clockSkewMsMax,
    wrongClockMs: random.pick([-minuteMs, minuteMs]),
    faults: {
      crash: 0.002,
      stall: 0.01,
      loss: 0.02,
      log: 0.02,
      feed: 0.3,
      staleRead: 0.3,
      delivery: 0.05,
      schedule: 0,
      provider: 0.5,
    },
    everyMs: { ...profile.everyMs, lease: hourMs, revoke: 8 * hourMs, authorize: 2 * hourMs },
    outageEveryMs: 100 * dayMs,
  };
}

/** Many connections for weeks, in which a little goes wrong. */
export function weeksOf(connections: number, days: number): Profile {
  return {
    connections,
    tenants: 20,
    workers: 3,
    vaults: 2,
    durationMs: days * dayMs,
    settleMs: 14 * dayMs,
    skewMsMax: limits.clockSkewMsMax,
    wrongClockMs: 0,
    faults: {
      crash: 0.0002,
      stall: 0.0002,
      loss: 0.002,
      log: 0.002,
      feed: 0.001,
      staleRead: 0.05,
      delivery: 0.005,
      schedule: 0.002,
      provider: 0.02,
    },
    times: { ...times, reconcileIntervalMs: 6 * hourMs },
    providers: slowed(providerRules, 24),
    everyMs: {
      lease: 4 * dayMs,
      refreshNow: 40 * dayMs,
      suspend: 60 * dayMs,
      withdraw: 100 * dayMs,
      revoke: 60 * dayMs,
      authorize: 5 * dayMs,
    },
    outageEveryMs: 5 * dayMs,
    outageMsMax: 6 * hourMs,
    wipes: true,
  };
}
