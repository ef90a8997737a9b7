import type { ConnectionEvent } from '@postern/contracts';
import { boughtAtMs, upcast, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';

import { attemptsIn, withAttempt, type AttemptFailure } from './attempts.ts';
import { failureKindOf } from './failure-kind.ts';
import type { ConnectionModel } from './model.ts';
import { connectionHealthTable, type ModelRow } from './tables.ts';

/** How each connection fares: what `healthOf` weighs, once it is asked and knows the time. */
export const healthModel: ConnectionModel = {
  name: 'health',
  stream: 'connections',
  tables: [connectionHealthTable],
  fold: ({ entry, state, before }) => {
    const atMs = Date.parse(entry.commit.at);
    const isSame = before?.['authorization_state'] === state.authorization && before['suspended'] === state.suspended;
    const row: Record<string, ModelRow[string]> = { ...(before ?? nothing) };
    for (const event of entry.commit.events) {
      Object.assign(row, whatTells(upcast(event) as ConnectionEvent, { row, atMs }));
    }
    Object.assign(row, whatStands(entry, state));
    row['state_since_ms'] = isSame ? (before['state_since_ms'] ?? atMs) : atMs;
    return { row };
  },
};

const nothing: ModelRow = Object.freeze({
  failing_kind: null,
  failing_error: null,
  last_attempt_at_ms: null,
  last_success_at_ms: null,
  grant_died_at_ms: null,
  drifted_at_ms: null,
  lost_scopes: '',
  attempts: '[]',
});

/** What the state says for itself. */
function whatStands({ commit }: LogEntry, state: Connection): ModelRow {
  const { credential, health, session } = state;
  return {
    connection_id: commit.aggregateId,
    platform_id: state.platformId,
    provider_id: state.providerId,
    registration_id: state.registrationId,
    authorization_state: state.authorization,
    suspended: state.suspended,
    suspected: credential?.signal?.credentialVersion === credential?.version && isOpen(credential?.signal),
    cause: causeOf(state),
    failing_since_ms: health.failingSinceMs,
    next_attempt_at_ms: health.nextAttemptAtMs,
    authorized_at_ms: credential?.authorizedAtMs ?? null,
    bought_at_ms: credential === null ? null : boughtAtMs(credential),
    access_ends_at_ms: credential?.accessTokenExpiresAtMs ?? null,
    authorization_ends_at_ms: credential?.authorizationEndsAtMs ?? null,
    has_refresh_token: credential?.hasRefreshToken ?? null,
    file_version: credential?.providerVersion ?? null,
    had_by: credential?.grant ?? session?.grant ?? null,
    missing_scopes: credential?.missingScopes?.join(' ') ?? '',
  };
}

const isOpen = (signal: { readonly disprovedAtMs?: number | undefined } | undefined): boolean =>
  signal !== undefined && signal.disprovedAtMs === undefined;

function causeOf({ authorization, revocationCause, evidence, reauthorizationCause }: Connection): string | null {
  if (authorization === 'revoked' || authorization === 'deleted') return revocationCause;
  return authorization === 'reauthorization_required' ? (evidence ?? reauthorizationCause) : null;
}

interface Telling {
  readonly row: ModelRow;
  readonly atMs: number;
}

type Data = { readonly [E in ConnectionEvent as E['type']]: E['data'] };
type Tells = { readonly [T in keyof Data]?: (data: Data[T], telling: Telling) => ModelRow };

const authorized = (_data: unknown, { atMs }: Telling): ModelRow => ({
  ...well(atMs),
  ...{ grant_died_at_ms: null, drifted_at_ms: null, lost_scopes: '' },
});

/** What only the event says; of the others the state says all. */
const tells: Tells = {
  ConnectionAuthorized: authorized,
  ConnectionReauthorized: authorized,
  AccessTokenRefreshed: (_data, { row, atMs }) => ({
    ...well(atMs),
    grant_died_at_ms: null,
    ...attempt(row, atMs, null),
  }),
  RefreshFailed: (data, { row, atMs }) => {
    const kind = failureKindOf(data);
    return { failing_kind: kind, failing_error: data.error, ...attempt(row, atMs, kind) };
  },
  RefreshInterrupted: (_data, { row, atMs }) => ({
    ...{ failing_kind: 'interrupted', failing_error: 'refresh_interrupted' },
    ...attempt(row, atMs, 'interrupted'),
  }),
  RefreshRejected: ({ error }, { row, atMs }) => ({
    ...{ failing_kind: 'grant_died', failing_error: error, grant_died_at_ms: atMs },
    ...attempt(row, atMs, 'grant_died'),
  }),
  ConnectionRevoked: ({ cause }, { atMs }) => (cause === 'revoked_at_provider' ? { grant_died_at_ms: atMs } : {}),
  RevocationDisproved: (_data, { atMs }) => ({ last_success_at_ms: atMs }),
  ScopeDriftDetected: ({ lostScopes }, { atMs }) => ({ drifted_at_ms: atMs, lost_scopes: lostScopes.join(' ') }),
};

function whatTells<T extends keyof Data>(
  { type, data }: { readonly type: T; readonly data: Data[T] },
  telling: Telling,
): ModelRow {
  return tells[type]?.(data, telling) ?? {};
}

const well = (atMs: number): ModelRow => ({ failing_kind: null, failing_error: null, last_success_at_ms: atMs });

function attempt(row: ModelRow, atMs: number, failure: AttemptFailure | null): ModelRow {
  const attempts = JSON.stringify(withAttempt(attemptsIn(row['attempts']), { atMs, failure }));
  return { last_attempt_at_ms: atMs, attempts };
}
