import { newId } from '@postern/contracts';

import type { HealthFacts } from '../health/health-facts.ts';

export const nowMs = Date.parse('2030-01-02T12:30:00Z');
export const hourMs = 3_600_000;

/** A connection that is well, refreshed ten minutes ago, but for what is said. */
export function facts(some: Partial<HealthFacts>): HealthFacts {
  return {
    connectionId: newId('connection'),
    platformId: newId('platform'),
    providerId: 'salesforce',
    registrationId: 'reg_one',
    authorization: 'authorized',
    suspended: false,
    suspected: false,
    stateSinceMs: nowMs - 48 * hourMs,
    cause: null,
    failingSinceMs: null,
    failingKind: null,
    failingError: null,
    nextAttemptAtMs: null,
    lastSuccessAtMs: nowMs - 600_000,
    grantDiedAtMs: null,
    authorizedAtMs: nowMs - 48 * hourMs,
    boughtAtMs: nowMs - 600_000,
    accessEndsAtMs: nowMs + hourMs,
    authorizationEndsAtMs: null,
    hasRefreshToken: true,
    grant: undefined,
    fileVersion: null,
    driftedAtMs: null,
    lostScopes: [],
    missingScopes: [],
    attempts: [],
    ...some,
  };
}
