import { PosternError } from './errors.ts';

/** A part of each connection's subject: which stream it stands on, should there be several one day (docs/adr/0031). */
export const currentEpoch = 1;

/** Aggregates whose events stand on ADMIN. */
export const adminAggregates = [
  'tenant',
  'platform',
  'agent',
  'administrator',
  'registration',
  'transmitter',
  'bridge',
  'webhook',
  'rollout',
  'governance',
  'approval',
] as const;
export type AdminAggregate = (typeof adminAggregates)[number];

const token = /^[A-Za-z0-9_-]+$/;

function checked(part: string): string {
  if (token.test(part)) return part;
  throw new PosternError('request.malformed', 'An id holds a character that no subject may hold.');
}

interface ConnectionRef {
  readonly tenantId: string;
  readonly connectionId: string;
  /** The open one unless another is named. */
  readonly epoch?: number;
}

interface SignalRef {
  readonly source: string;
  readonly registrationId: string;
  /** One delivery, told once: whatever has the same is a repetition. */
  readonly deliveryId: string;
}

/** The epoch in which a connection's subject stands; undefined for every other subject. */
export function epochOf(subject: string): number | undefined {
  const epoch = /^connection\.([1-9]\d{0,14})\.[^.]+\.[^.]+$/.exec(subject)?.[1];
  return epoch === undefined ? undefined : Number(epoch);
}

/** Every subject of the bus. Ids are checked, so that a wildcard can never be smuggled into a subject. */
export const subjects = Object.freeze({
  connection: ({ tenantId, connectionId, epoch = currentEpoch }: ConnectionRef) =>
    `connection.${epoch}.${checked(tenantId)}.${checked(connectionId)}`,
  connectionsOfTenant: (tenantId: string) => `connection.${currentEpoch}.${checked(tenantId)}.*`,
  allConnections: 'connection.>',
  admin: ({ tenantId, aggregate, id }: { tenantId: string; aggregate: AdminAggregate; id: string }) =>
    `admin.${checked(tenantId)}.${aggregate}.${checked(id)}`,
  adminOfTenant: (tenantId: string) => `admin.${checked(tenantId)}.>`,
  allAdmin: 'admin.>',
  allRollouts: 'admin.*.rollout.*',
  access: ({ service, writer }: { service: string; writer: string }) => `access.${checked(service)}.${checked(writer)}`,
  allAccess: 'access.>',
  /** `stream` names the one whose head it tells. */
  checkpoint: (stream: string) => `checkpoint.${checked(stream)}`,
  allCheckpoints: 'checkpoint.>',
  refreshSchedule: ({ tenantId, connectionId }: { tenantId: string; connectionId: string }) =>
    `refresh.schedule.${checked(tenantId)}.${checked(connectionId)}`,
  refreshDue: ({ tenantId, connectionId }: { tenantId: string; connectionId: string }) =>
    `refresh.due.${checked(tenantId)}.${checked(connectionId)}`,
  allRefreshDue: 'refresh.due.>',
  /** `source` names who speaks: a provider's webhook by the provider's id, security events by `ssf`, a bridge by its id. */
  signal: ({ source, registrationId, deliveryId }: SignalRef) =>
    `signal.${checked(source)}.${checked(registrationId)}.${checked(deliveryId)}`,
  signalsOf: ({ source, registrationId }: Omit<SignalRef, 'deliveryId'>) =>
    `signal.${checked(source)}.${checked(registrationId)}.*`,
  allSignals: 'signal.>',
  notify: ({ tenantId, type }: { tenantId: string; type: string }) => `notify.${checked(tenantId)}.${type}`,
  notificationsOfTenant: (tenantId: string) => `notify.${checked(tenantId)}.>`,
  allWebhookNotices: 'notify.*.webhook.disabled',
  allNotifications: 'notify.>',
});

/** The inbox prefix of an identity or platform: nobody else may subscribe to it. */
export function inboxPrefix(owner: string): string {
  return `_INBOX.${checked(owner)}`;
}
