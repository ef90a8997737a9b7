import type { IdentityName } from './apps.ts';
import { administratorToken, operationPattern, operations, operationSubject, type Operation } from './operations.ts';
import { consumers, streams, type ConsumerKey, type StreamKey } from './streams.ts';
import { inboxPrefix, subjects } from './subjects.ts';

/** What one NATS user may do; everything else is refused by the server. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** Exceptions from `publish`, where a wildcard cannot be narrow enough. */
  readonly denyPublish?: readonly string[];
}

/** What an identity does with the streams: the table that DESIGN §4 speaks of. */
interface StreamRights {
  /** Appends commits (or, for ACCESS, its own groups). */
  readonly append?: readonly string[];
  /** Reads a stream in order and by subject. */
  readonly follow?: readonly StreamKey[];
  /** Reads single messages, without a consumer. */
  readonly peek?: readonly StreamKey[];
  /** Works off a durable consumer made by the provisioner. */
  readonly work?: readonly ConsumerKey[];
  /** May manage streams: the provisioner alone, at deploy time. */
  readonly manage?: boolean;
}

const appendConnections = 'connection.*.*.*';

export const streamRights: Readonly<Record<IdentityName, StreamRights>> = Object.freeze({
  gateway: { follow: ['admin'] },
  authorization: { append: [appendConnections], follow: ['connections', 'admin'] },
  vault: { append: [appendConnections, 'access.vault.*'], follow: ['connections', 'admin'] },
  refresh: {
    append: [appendConnections, 'refresh.due.*.*', 'refresh.schedule.*.*'],
    follow: ['connections', 'admin'],
    peek: ['refresh'],
    work: ['refreshWorker', 'refreshScheduler'],
  },
  revocation: {
    append: [appendConnections, 'signal.*.*.*'],
    follow: ['connections', 'admin'],
    peek: ['signals'],
    work: ['upstreamRevocation', 'signalDecisions'],
  },
  audit: {
    append: [subjects.allNotifications, 'checkpoint.*'],
    follow: ['connections', 'admin', 'access', 'checkpoints'],
    work: ['ownerNotices'],
  },
  notifier: {
    // ADMIN for one event alone, that a webhook is gone: who may write which event, signatures tell.
    append: ['admin.*.webhook.*', subjects.allWebhookNotices],
    follow: ['admin', 'checkpoints'],
    peek: ['notifications'],
    work: ['webhookFanOut'],
  },
  provisioner: { manage: true },
  administrator: { append: ['admin.*.*.*'], follow: ['connections', 'admin'] },
});

/** All subjects of a stream, as one filter. */
export const streamFilters: Readonly<Record<StreamKey, string>> = Object.freeze({
  connections: subjects.allConnections,
  admin: subjects.allAdmin,
  access: subjects.allAccess,
  checkpoints: subjects.allCheckpoints,
  refresh: 'refresh.>',
  signals: subjects.allSignals,
  notifications: subjects.allNotifications,
});

/**
 * The streams that an identity's promises rest on: what it follows, appends to or works off. A service compares each
 * of them with what it must be, at start and by and by.
 */
export function streamsStoodOn(identity: IdentityName): StreamKey[] {
  const { append = [], follow = [], work = [] } = streamRights[identity];
  const appended = new Set(append.map(categoryOf));
  const worked = new Set<string>(work.map((key) => consumers[key].stream));
  return (Object.keys(streams) as StreamKey[]).filter((key) => {
    const { name, subjects: taken } = streams[key];
    return follow.includes(key) || worked.has(name) || taken.some((subject) => appended.has(categoryOf(subject)));
  });
}

/** The first token of a subject: no two streams share one. */
function categoryOf(subject: string): string {
  return subject.split('.', 1)[0] ?? subject;
}

/** The streams of a log that moves house. */
const importedStreams = ['connections', 'admin', 'access', 'checkpoints'] as const satisfies readonly StreamKey[];
/** Under which name the user of an import connects. */
export const importerName = 'importer';

function followSubjects(key: StreamKey): string[] {
  const { name } = streams[key];
  return [
    `$JS.API.STREAM.MSG.GET.${name}`,
    `$JS.API.DIRECT.GET.${name}`,
    `$JS.API.DIRECT.GET.${name}.${streamFilters[key]}`,
    `$JS.API.CONSUMER.CREATE.${name}.*`,
    `$JS.API.CONSUMER.CREATE.${name}.*.${streamFilters[key]}`,
    `$JS.API.CONSUMER.INFO.${name}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${name}.*`,
    `$JS.API.CONSUMER.DELETE.${name}.*`,
  ];
}

function workSubjects(key: ConsumerKey): string[] {
  const { stream, name } = consumers[key];
  return [
    `$JS.API.CONSUMER.INFO.${stream}.${name}`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`,
    `$JS.ACK.${stream}.${name}.>`,
    `$JS.ACK.*.*.${stream}.${name}.>`,
  ];
}

/**
 * A follower makes consumers under names of its own, and no wildcard can tell them from the provisioner's durable ones:
 * so those are taken out, or a follower could change, delete or empty what another service lives on.
 */
function durableSubjects(identity: IdentityName): string[] {
  const { follow = [], work = [] } = streamRights[identity];
  const followed = new Set<string>(follow.map((key) => streams[key].name));
  const keys = Object.keys(consumers) as ConsumerKey[];
  return keys
    .filter((key) => followed.has(consumers[key].stream))
    .flatMap((key) => {
      const { stream, name } = consumers[key];
      return [
        `$JS.API.CONSUMER.CREATE.${stream}.${name}`,
        `$JS.API.CONSUMER.CREATE.${stream}.${name}.>`,
        `$JS.API.CONSUMER.DELETE.${stream}.${name}`,
        ...(work.includes(key) ? [] : [`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`]),
      ];
    });
}

/** Who asks every instance must know how many there are; the administrator sees all services (`nats micro`). */
function discoverySubjects(identity: IdentityName): string[] {
  if (identity === 'administrator') return ['$SRV.>'];
  const owners = allOperations
    .filter(({ broadcast, callers }) => broadcast === true && callers.includes(identity))
    .map(({ owner }) => `$SRV.PING.${owner}`);
  return [...new Set(owners)];
}

const allOperations: readonly Operation[] = Object.values(operations);

function callSubjects(identity: IdentityName): string[] {
  return allOperations
    .filter(({ callers }) => callers.includes(identity))
    .map((op) => {
      if (op.scope === 'service') return operationSubject(op, { app: identity });
      return identity === 'administrator' ? `${op.name}.*.${administratorToken}` : operationPattern(op);
    });
}

/** Who speaks for platforms speaks for no administrator, whose subjects lie under the same wildcard. */
function administratorSubjects(identity: IdentityName): string[] {
  return allOperations
    .filter(({ scope, callers }) => scope === 'platform' && callers.includes(identity) && identity !== 'administrator')
    .map(({ name }) => `${name}.*.${administratorToken}`);
}

function servedSubjects(identity: IdentityName): string[] {
  return allOperations.filter(({ owner }) => owner === identity).map(operationPattern);
}

/** The permissions of an identity in the CORE account, all from the tables above. */
export function identityPermissions(identity: IdentityName): Permissions {
  const rights = streamRights[identity];
  const served = servedSubjects(identity);
  const manage = rights.manage === true ? ['$JS.API.>'] : [];
  const respond = served.length > 0 ? ['_INBOX.>', '_R_.>'] : [];
  return {
    publish: [
      ...(rights.append ?? []),
      ...streamsStoodOn(identity).map((key) => `$JS.API.STREAM.INFO.${streams[key].name}`),
      ...(rights.follow ?? []).flatMap(followSubjects),
      ...(rights.peek ?? []).map((key) => `$JS.API.DIRECT.GET.${streams[key].name}`),
      ...(rights.work ?? []).flatMap(workSubjects),
      ...callSubjects(identity),
      ...discoverySubjects(identity),
      ...respond,
      ...manage,
    ],
    subscribe: [`${inboxPrefix(identity)}.>`, ...served, ...(served.length > 0 ? ['$SRV.>'] : [])],
    denyPublish: [...durableSubjects(identity), ...administratorSubjects(identity)],
  };
}

/** What a platform's NATS user may do in the PLATFORMS account: its own subjects, its own inbox, its notifications. */
export function platformPermissions({ tenantId, platformId }: { tenantId: string; platformId: string }): Permissions {
  return {
    publish: allOperations
      .filter(({ callers }) => callers.includes('platform'))
      .map((op) => operationSubject(op, { tenantId, platformId })),
    subscribe: [`${inboxPrefix(platformId)}.>`, subjects.notificationsOfTenant(tenantId)],
  };
}

/**
 * What a bridge's NATS user may do in the PLATFORMS account: publish signals about its registrations, and hear whether
 * they are stored. That it keeps to them is looked at again when a signal is weighed.
 */
export function bridgePermissions({
  bridgeId,
  registrationIds,
}: {
  bridgeId: string;
  registrationIds: readonly string[];
}): Permissions {
  return {
    publish: registrationIds.map((registrationId) => subjects.signalsOf({ source: bridgeId, registrationId })),
    subscribe: [`${inboxPrefix(bridgeId)}.>`],
  };
}

/**
 * What a user may do that fills the empty streams of a new house with an exported log. It is issued for the length of one
 * import, by whoever holds the operator's keys; no service has it, and nothing runs yet when it is used.
 */
export function importPermissions(): Permissions {
  return {
    publish: importedStreams.flatMap((key) => [...streams[key].subjects, `$JS.API.STREAM.INFO.${streams[key].name}`]),
    subscribe: [`${inboxPrefix(importerName)}.>`],
  };
}

/** What crosses from CORE to PLATFORMS: services as requests, signals of bridges, notifications as a stream, and nothing else. */
export const accountExports = Object.freeze({
  services: [
    ...allOperations.filter(({ callers }) => callers.includes('platform')).map(operationPattern),
    // The answer is the stream's own acknowledgement.
    ...streams.signals.subjects,
  ],
  streams: [subjects.allNotifications],
});
