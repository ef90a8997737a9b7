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
});

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
  if (before.health.status !== after.health.status && after.authorization === 'authorized' && types.size === 0) {
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
    reauthorize_url:
      type === 'connection.reauthorization_required' || type === 'connection.revoked' ? reauthorizeUrl : null,
  }));
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
