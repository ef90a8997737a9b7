import { SignalEvidence, timestampOf, type Notification, type NotificationType } from '@postern/contracts';
import { labelOf, type Connection } from '@postern/domain';
import type { LogEntry } from '@postern/event-log';

/** Which events owners hear of. A rejected refresh is told once, by what follows from it. */
const told: Readonly<Record<string, NotificationType>> = Object.freeze({
  ConnectionAuthorized: 'connection.authorized',
  ConnectionReauthorized: 'connection.authorized',
  ReauthorizationRequired: 'connection.reauthorization_required',
  ClaimsRequired: 'connection.reauthorization_required',
  ConnectionRevoked: 'connection.revoked',
  DeletionRequested: 'connection.deleted',
  AuthorizationExpiring: 'connection.authorization_expiring',
  RotationDue: 'connection.rotation_due',
  ScopeDriftDetected: 'scope.drift_detected',
});

/** Who asks for a re-authorization is told where it begins. */
const helpedByEndUser: ReadonlySet<NotificationType> = new Set([
  'connection.reauthorization_required',
  'connection.revoked',
  'connection.authorization_expiring',
]);

/** They say more about the health than its change would: whoever hears one of them needs to hear nothing else of it. */
const tellHealth: ReadonlySet<string> = new Set<NotificationType>([
  'connection.authorized',
  'connection.reauthorization_required',
  'connection.revoked',
  'connection.deleted',
]);

type Data = Readonly<Record<string, unknown>>;

type Credential = NonNullable<Connection['credential']>;

/** What notices depend on of the state before their commit. */
export interface NoticeBasis extends Pick<Connection, 'authorization'> {
  readonly health: Pick<Connection['health'], 'status'>;
  readonly credential: Pick<Credential, 'endedByRefresh' | 'accessTokenExpiresAtMs'> | null;
}

/**
 * What the owner of a connection hears of one decision: at most one notification a type.
 *
 * An incident is told when it begins and when it is over, and not at each attempt between. Ids are made of the
 * commit's, so that a redelivered commit never tells twice.
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
  readonly before: NoticeBasis;
  readonly after: Connection;
  readonly reauthorizeUrl: string;
}): Notification[] {
  const { commit } = entry;
  const types = new Map<NotificationType, Data>();
  for (const { type, data } of commit.events) {
    const notice = told[type];
    if (notice !== undefined && !types.has(notice)) types.set(notice, data);
  }
  if (endsLivingToken(commit.events, before, Date.parse(commit.at))) types.set('lease.superseded', {});
  const isTold = [...types.keys()].some((type) => tellHealth.has(type));
  if (!isTold && hasTurned(before, after)) types.set('connection.health_changed', { cause: after.health.reason });
  return [...types].map(([type, data]) => ({
    id: `${commit.commitId}.${type}`,
    type,
    at: commit.at,
    tenant_id: commit.tenantId,
    platform_id: after.platformId,
    connection_id: commit.aggregateId,
    health: labelOf(after),
    cause: textOf(data['cause']),
    evidence: textOf(data['evidence']) ?? signalIn(data)?.type ?? null,
    reauthorize_url: helpedByEndUser.has(type) ? reauthorizeUrl : null,
    ...particulars(type, data, { after, by: commit.actor.type }),
  }));
}

/** A refresh ended an access token that somebody may still hold: whoever holds a lease must ask again. */
function endsLivingToken(events: LogEntry['commit']['events'], before: NoticeBasis, atMs: number): boolean {
  const { credential } = before;
  if (credential?.endedByRefresh === undefined || !events.some(({ type }) => type === 'AccessTokenRefreshed'))
    return false;
  const endsAtMs = credential.accessTokenExpiresAtMs;
  return endsAtMs === null || endsAtMs > atMs + credential.endedByRefresh.graceMs;
}

/** An incident began, or is over. A connection that opens a new epoch brings its incident along. */
function hasTurned(before: NoticeBasis, after: Connection): boolean {
  return (
    before.authorization !== 'none' &&
    after.authorization === 'authorized' &&
    before.health.status !== after.health.status
  );
}

function particulars(
  type: NotificationType,
  data: Data,
  {
    after: { health, credential },
    by,
  }: { readonly after: Connection; readonly by: LogEntry['commit']['actor']['type'] },
): Pick<Notification, 'next_attempt_at' | 'scopes' | 'revocation'> {
  if (type === 'connection.revoked') {
    const signal = toldSignal(data);
    return { revocation: { by: signal === null ? by : 'provider', reason: textOf(data['reason']), signal } };
  }
  if (type === 'connection.health_changed' && health.nextAttemptAtMs !== null) {
    return { next_attempt_at: timestampOf(health.nextAttemptAtMs) };
  }
  if (type !== 'scope.drift_detected') return {};
  const granted = credential?.grantedScopes ?? [];
  return { scopes: { granted, lost: textsOf(data['lostScopes']), gained: textsOf(data['gainedScopes']) } };
}

/** The signal that an event rests on. */
function signalIn(data: Data): SignalEvidence | undefined {
  return SignalEvidence.safeParse(data['evidence']).data;
}

function toldSignal(data: Data): NonNullable<Notification['revocation']>['signal'] {
  const signal = signalIn(data);
  if (signal === undefined) return null;
  const { source, type, occurredAtMs, receivedAtMs } = signal;
  const occurredAt = occurredAtMs === null ? null : timestampOf(occurredAtMs);
  return { source, type, occurred_at: occurredAt, received_at: timestampOf(receivedAtMs) };
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);
const textsOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((text) => typeof text === 'string') : [];
