import type { ConnectionEvent } from '@postern/contracts';
import { boughtAtMs, upcast, type Connection } from '@postern/domain';

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
    const { commit, hash } = entry;
    const atMs = Date.parse(commit.at);
    const isSame = before?.['authorization_state'] === state.authorization && before['suspended'] === state.suspended;
    let told = before === undefined ? nothing : toldBy(before);
    for (const event of commit.events) {
      const telling = whatTells(upcast(event) as ConnectionEvent, { row: told, atMs });
      if (telling !== undefined) told = { ...told, ...telling };
    }
    const { credential, health, session } = state;
    // One literal: a row that grows column by column is slower to make, and larger.
    return {
      row: {
        connection_id: commit.aggregateId,
        revision: commit.revision,
        hash,
        platform_id: state.platformId,
        provider_id: state.providerId,
        registration_id: state.registrationId,
        authorization_state: state.authorization,
        suspended: state.suspended,
        suspected: credential?.signal?.credentialVersion === credential?.version && isOpen(credential?.signal),
        state_since_ms: isSame ? (before['state_since_ms'] ?? atMs) : atMs,
        cause: causeOf(state),
        failing_since_ms: health.failingSinceMs,
        failing_kind: told.failing_kind,
        failing_error: told.failing_error,
        next_attempt_at_ms: health.nextAttemptAtMs,
        last_attempt_at_ms: told.last_attempt_at_ms,
        last_success_at_ms: told.last_success_at_ms,
        grant_died_at_ms: told.grant_died_at_ms,
        authorized_at_ms: credential?.authorizedAtMs ?? null,
        bought_at_ms: credential === null ? null : boughtAtMs(credential),
        access_ends_at_ms: credential?.accessTokenExpiresAtMs ?? null,
        authorization_ends_at_ms: credential?.authorizationEndsAtMs ?? null,
        has_refresh_token: credential?.hasRefreshToken ?? null,
        had_by: credential?.grant ?? session?.grant ?? null,
        file_version: credential?.providerVersion ?? null,
        drifted_at_ms: told.drifted_at_ms,
        lost_scopes: told.lost_scopes,
        missing_scopes: credential?.missingScopes?.join(' ') ?? '',
        attempts: told.attempts,
      },
    };
  },
};

type Value = ModelRow[string];

/** The columns that only events tell. */
interface Told {
  readonly failing_kind: Value;
  readonly failing_error: Value;
  readonly last_attempt_at_ms: Value;
  readonly last_success_at_ms: Value;
  readonly grant_died_at_ms: Value;
  readonly drifted_at_ms: Value;
  readonly lost_scopes: Value;
  readonly attempts: Value;
}

const nothing: Told = Object.freeze({
  failing_kind: null,
  failing_error: null,
  last_attempt_at_ms: null,
  last_success_at_ms: null,
  grant_died_at_ms: null,
  drifted_at_ms: null,
  lost_scopes: '',
  attempts: '[]',
});

const toldBy = (row: ModelRow): Told => ({
  failing_kind: row['failing_kind'] ?? null,
  failing_error: row['failing_error'] ?? null,
  last_attempt_at_ms: row['last_attempt_at_ms'] ?? null,
  last_success_at_ms: row['last_success_at_ms'] ?? null,
  grant_died_at_ms: row['grant_died_at_ms'] ?? null,
  drifted_at_ms: row['drifted_at_ms'] ?? null,
  lost_scopes: row['lost_scopes'] ?? null,
  attempts: row['attempts'] ?? null,
});

const isOpen = (signal: { readonly disprovedAtMs?: number | undefined } | undefined): boolean =>
  signal !== undefined && signal.disprovedAtMs === undefined;

function causeOf({ authorization, revocationCause, evidence, reauthorizationCause }: Connection): string | null {
  if (authorization === 'revoked' || authorization === 'deleted') return revocationCause;
  return authorization === 'reauthorization_required' ? (evidence ?? reauthorizationCause) : null;
}

interface Telling {
  readonly row: Told;
  readonly atMs: number;
}

type Data = { readonly [E in ConnectionEvent as E['type']]: E['data'] };
type Tells = { readonly [T in keyof Data]?: (data: Data[T], telling: Telling) => Partial<Told> };

const authorized = (_data: unknown, { atMs }: Telling): Partial<Told> => ({
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
): Partial<Told> | undefined {
  return tells[type]?.(data, telling);
}

const well = (atMs: number): Partial<Told> => ({ failing_kind: null, failing_error: null, last_success_at_ms: atMs });

function attempt(row: Told, atMs: number, failure: AttemptFailure | null): Partial<Told> {
  const attempts = JSON.stringify(withAttempt(attemptsIn(row.attempts), { atMs, failure }));
  return { last_attempt_at_ms: atMs, attempts };
}
