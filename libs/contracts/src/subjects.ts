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

function tokens(...parts: (string | number)[]): string {
  let subject = '';
  for (const part of parts) {
    if (typeof part === 'string' && !token.test(part)) {
      throw new PosternError('request.malformed', 'An id holds a character that no subject may hold.');
    }
    subject = subject === '' ? `${part}` : `${subject}.${part}`;
  }
  return subject;
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
    tokens('connection', epoch, tenantId, connectionId),
  connectionsOfTenant: (tenantId: string) => `${tokens('connection', currentEpoch, tenantId)}.*`,
  allConnections: 'connection.>',
  admin: ({ tenantId, aggregate, id }: { tenantId: string; aggregate: AdminAggregate; id: string }) =>
    tokens('admin', tenantId, aggregate, id),
  adminOfTenant: (tenantId: string) => `${tokens('admin', tenantId)}.>`,
  allAdmin: 'admin.>',
  allRollouts: 'admin.*.rollout.*',
  access: ({ service, writer }: { service: string; writer: string }) => tokens('access', service, writer),
  allAccess: 'access.>',
  /** `stream` names the one whose head it tells. */
  checkpoint: (stream: string) => tokens('checkpoint', stream),
  allCheckpoints: 'checkpoint.>',
  refreshSchedule: ({ tenantId, connectionId }: { tenantId: string; connectionId: string }) =>
    tokens('refresh', 'schedule', tenantId, connectionId),
  refreshDue: ({ tenantId, connectionId }: { tenantId: string; connectionId: string }) =>
    tokens('refresh', 'due', tenantId, connectionId),
  allRefreshDue: 'refresh.due.>',
  /** `source` names who speaks: a provider's webhook by the provider's id, security events by `ssf`, a bridge by its id. */
  signal: ({ source, registrationId, deliveryId }: SignalRef) => tokens('signal', source, registrationId, deliveryId),
  signalsOf: ({ source, registrationId }: Omit<SignalRef, 'deliveryId'>) =>
    `${tokens('signal', source, registrationId)}.*`,
  allSignals: 'signal.>',
  notify: ({ tenantId, type }: { tenantId: string; type: string }) => `${tokens('notify', tenantId)}.${type}`,
  notificationsOfTenant: (tenantId: string) => `${tokens('notify', tenantId)}.>`,
  allWebhookNotices: 'notify.*.webhook.disabled',
  allNotifications: 'notify.>',
});

/** The inbox prefix of an identity or platform: nobody else may subscribe to it. */
export function inboxPrefix(owner: string): string {
  return `_INBOX.${tokens(owner)}`;
}
