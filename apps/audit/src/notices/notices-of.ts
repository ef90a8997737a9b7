import type { Notification, NotificationType } from '@postern/contracts';
import { labelOf, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';

/** Which events owners hear of. A rejected refresh is told once, by what follows from it. */
const told: Readonly<Record<string, NotificationType>> = Object.freeze({
  ConnectionAuthorized: 'connection.authorized',
  ConnectionReauthorized: 'connection.authorized',
  ReauthorizationRequired: 'connection.reauthorization_required',
  ConnectionRevoked: 'connection.revoked',
  DeletionRequested: 'connection.deleted',
  AuthorizationExpiring: 'connection.authorization_expiring',
});

/** Who asks for a re-authorization is told where it begins. */
const helpedByEndUser: ReadonlySet<NotificationType> = new Set([
  'connection.reauthorization_required',
  'connection.revoked',
  'connection.authorization_expiring',
]);

/**
 * What the owner of a connection hears of one decision: at most one notification a type.
 *
 * Its id is made of the commit's, so that a redelivered commit never tells twice.
 *
 * @param before the state before this commit, which tells the first failure from the second
 */
export function noticesOf({
  entry,
  before,
  after,
  reauthorizeUrl,
}: {
  readonly entry: LogEntry;
  readonly before: Connection;
  readonly after: Connection;
  readonly reauthorizeUrl: string;
}): Notification[] {
  const { commit } = entry;
  const types = new Map<NotificationType, Readonly<Record<string, unknown>>>();
  for (const { type, data } of commit.events) {
    const notice = told[type];
    if (notice !== undefined && !types.has(notice)) types.set(notice, data);
  }
  if (endsLivingToken(commit.events, before, Date.parse(commit.at))) types.set('lease.superseded', {});
  if (before.health.status !== after.health.status && after.authorization === 'authorized' && !hasNews(types)) {
    types.set('connection.health_changed', { cause: after.health.reason });
  }
  return [...types].map(([type, data]) => ({
    id: `${commit.commitId}.${type}`,
    type,
    at: commit.at,
    tenant_id: commit.tenantId,
    platform_id: after.platformId,
    connection_id: commit.aggregateId,
    health: labelOf(after),
    cause: textOf(data['cause']),
    evidence: textOf(data['evidence']),
    reauthorize_url: helpedByEndUser.has(type) ? reauthorizeUrl : null,
  }));
}

/** A refresh ended an access token that somebody may still hold: whoever holds a lease must ask again. */
function endsLivingToken(events: LogEntry['commit']['events'], before: Connection, atMs: number): boolean {
  const { credential } = before;
  if (credential?.endedByRefresh === undefined || !events.some(({ type }) => type === 'AccessTokenRefreshed'))
    return false;
  const endsAtMs = credential.accessTokenExpiresAtMs;
  return endsAtMs === null || endsAtMs > atMs + credential.endedByRefresh.graceMs;
}

/** A change of health is told by what caused it, if that is told; a lease that is superseded says nothing of health. */
function hasNews(types: ReadonlyMap<NotificationType, unknown>): boolean {
  return [...types.keys()].some((type) => type !== 'lease.superseded');
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
