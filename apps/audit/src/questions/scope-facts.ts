import type { AccessRecord, ConnectionScopesReply } from '@postern/contracts';
import { pinnedOf, versionInUse, type Connection, type Rollout } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';
import { loadCatalog, providerAt } from '@postern/provider-catalog';

type Facts = Pick<ConnectionScopesReply, 'asked' | 'given' | 'drifts'>;
type Used = Pick<ConnectionScopesReply['used'], 'leases' | 'without_scopes' | 'scopes'>;

/** Without these there would be no account or no refresh token; they open nothing. */
const alwaysKept: readonly string[] = ['openid', 'offline_access'];

/** Asked and given, from a connection's own events: those of the authorization that it lives from. */
export async function scopeFacts(history: AsyncIterable<LogEntry>, { credential }: Connection): Promise<Facts> {
  const begun = new Map<unknown, NonNullable<Facts['asked']>>();
  let asked: Facts['asked'] = null;
  let drifts: Facts['drifts'] = [];
  for await (const { commit } of history) {
    for (const { type, data } of commit.events) {
      if (type === 'AuthorizationStarted' || type === 'EstablishmentStarted') {
        const capabilities = (data['requestedCapabilities'] as string[] | undefined) ?? null;
        begun.set(data['sessionId'], { at: commit.at, scopes: data['requestedScopes'] as string[], capabilities });
      } else if (type === 'ConnectionAuthorized' || type === 'ConnectionReauthorized') {
        asked = begun.get(data['sessionId']) ?? null;
        drifts = [];
      } else if (type === 'ScopeDriftDetected') {
        drifts.push({ at: commit.at, lost: data['lostScopes'] as string[], gained: data['gainedScopes'] as string[] });
      }
    }
  }
  if (credential === null) return { asked: null, given: null, drifts: [] };
  const scopes = credential.grantedScopes;
  const apart = (one: readonly string[], other: readonly string[]) => one.filter((scope) => !other.includes(scope));
  return {
    asked,
    given: {
      credential_version: credential.version,
      scopes,
      not_given: asked === null ? [] : apart(asked.scopes, scopes),
      not_asked: asked === null ? [] : apart(scopes, asked.scopes),
    },
    drifts,
  };
}

/** What granted leases were for, as they said it. */
export function scopesUsed(records: readonly AccessRecord[]): Used {
  const scopes = new Map<string, { scope: string; leases: number; last_at: string }>();
  const granted = records.filter(({ outcome }) => outcome === 'granted');
  for (const { scopes: named, at } of granted) {
    for (const scope of new Set(named)) {
      scopes.set(scope, { scope, leases: (scopes.get(scope)?.leases ?? 0) + 1, last_at: at });
    }
  }
  const unnamed = granted.filter(({ scopes: named }) => (named ?? []).length === 0).length;
  return { leases: granted.length, without_scopes: unnamed, scopes: [...scopes.values()] };
}

/**
 * The given scopes that no lease named, without those that open nothing by themselves: as the version of the provider's
 * file has it that the connection used.
 */
export function neverNamed(
  given: readonly string[],
  ...[used, connection, rollout]: [Used, Connection, Rollout | undefined]
): string[] {
  const { providerId } = connection;
  const rows = loadCatalog().has(providerId)
    ? (providerAt(loadCatalog(), providerId, versionInUse(pinnedOf(connection), rollout)).scopeMatrix?.rows ?? [])
    : [];
  const opensNothing = rows.filter(({ allows, risk }) => allows.length === 0 && risk === 'read');
  const kept = new Set([...alwaysKept, ...[...opensNothing, ...used.scopes].map(({ scope }) => scope)]);
  return given.filter((scope) => !kept.has(scope));
}
