import { Grant, type HealthFailureKind } from '@postern/contracts';

import { attemptsIn, type AttemptFailure, type AttemptsOfHour } from '../models/attempts.ts';
import type { ModelRow } from '../models/tables.ts';

/** What the read model knows of how a connection fares. */
export interface HealthFacts {
  readonly connectionId: string;
  readonly platformId: string;
  readonly providerId: string;
  readonly registrationId: string;
  readonly authorization: string;
  readonly suspended: boolean;
  readonly suspected: boolean;
  readonly stateSinceMs: number;
  readonly cause: string | null;
  readonly failingSinceMs: number | null;
  readonly failingKind: AttemptFailure | null;
  readonly failingError: string | null;
  readonly nextAttemptAtMs: number | null;
  readonly lastSuccessAtMs: number | null;
  readonly grantDiedAtMs: number | null;
  readonly authorizedAtMs: number | null;
  readonly boughtAtMs: number | null;
  readonly accessEndsAtMs: number | null;
  readonly authorizationEndsAtMs: number | null;
  readonly hasRefreshToken: boolean;
  /** How it was had, where that was not by an authorization code. */
  readonly grant: Grant | undefined;
  /** Of its provider's file, that it was authorized with; null where it has no pin. */
  readonly fileVersion: number | null;
  readonly driftedAtMs: number | null;
  readonly lostScopes: readonly string[];
  readonly missingScopes: readonly string[];
  readonly attempts: readonly AttemptsOfHour[];
}

/** How a connection was leased of late. */
export interface UseFacts {
  readonly lastUsedAtMs: number | null;
  /** In the last day, by code. */
  readonly refused: Readonly<Record<string, number>>;
}

/** What ends by the provider's rules, whatever was said of it. */
export interface ClockRules {
  /** How long a refresh token may rest; null for ever. */
  readonly idleTtlS: number | null;
  /** How long an authorization lasts; null for ever. */
  readonly absoluteTtlS: number | null;
}

/** The facts in a row of `connection_health`. */
export function factsOf(row: ModelRow): HealthFacts {
  const text = (column: string) => String(row[column] ?? '');
  const textOrNull = (column: string) => (row[column] === null ? null : text(column));
  const numberOrNull = (column: string) => (row[column] === null ? null : Number(row[column]));
  const words = (column: string) => text(column).split(' ').filter(Boolean);
  return {
    connectionId: text('connection_id'),
    platformId: text('platform_id'),
    providerId: text('provider_id'),
    registrationId: text('registration_id'),
    authorization: text('authorization_state'),
    suspended: row['suspended'] === true,
    suspected: row['suspected'] === true,
    stateSinceMs: Number(row['state_since_ms']),
    cause: textOrNull('cause'),
    failingSinceMs: numberOrNull('failing_since_ms'),
    failingKind: textOrNull('failing_kind') as HealthFailureKind | null,
    failingError: textOrNull('failing_error'),
    nextAttemptAtMs: numberOrNull('next_attempt_at_ms'),
    lastSuccessAtMs: numberOrNull('last_success_at_ms'),
    grantDiedAtMs: numberOrNull('grant_died_at_ms'),
    authorizedAtMs: numberOrNull('authorized_at_ms'),
    boughtAtMs: numberOrNull('bought_at_ms'),
    accessEndsAtMs: numberOrNull('access_ends_at_ms'),
    authorizationEndsAtMs: numberOrNull('authorization_ends_at_ms'),
    hasRefreshToken: row['has_refresh_token'] === true,
    grant: Grant.safeParse(row['had_by']).data,
    fileVersion: numberOrNull('file_version'),
    driftedAtMs: numberOrNull('drifted_at_ms'),
    lostScopes: words('lost_scopes'),
    missingScopes: words('missing_scopes'),
    attempts: attemptsIn(row['attempts']),
  };
}
