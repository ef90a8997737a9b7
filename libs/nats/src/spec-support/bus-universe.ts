import {
  administratorToken,
  consumers,
  identityNames,
  inboxPrefix,
  newId,
  operationPattern,
  operations,
  streams,
  type Caller,
  type ConsumerKey,
  type IdentityName,
  type OperationKey,
  type StreamKey,
} from '@postern/contracts';

import {
  appenders,
  callers,
  followers,
  lookers,
  narrowAppenders,
  peekers,
  servers,
  workers,
} from './expected-rights.ts';

/** Somebody on the bus: an identity of CORE, or a platform or a bridge in PLATFORMS. */
export type Party =
  | { readonly kind: 'identity'; readonly name: IdentityName }
  | { readonly kind: 'platform'; readonly tenantId: string; readonly platformId: string }
  | { readonly kind: 'bridge'; readonly bridgeId: string; readonly registrationIds: readonly string[] };

/** A subject, and who may use it. */
export interface Probe {
  readonly subject: string;
  readonly may: (party: Party) => boolean;
}

const [tenantId, otherTenantId] = [newId('tenant'), newId('tenant')];
/** Two platforms of one tenant, and one of another. */
export const platforms = [
  { kind: 'platform', tenantId, platformId: newId('platform') },
  { kind: 'platform', tenantId, platformId: newId('platform') },
  { kind: 'platform', tenantId: otherTenantId, platformId: newId('platform') },
] as const;
const registrationIds = [newId('registration'), newId('registration')] as const;
/** Each speaks for registrations of its own, and one of them for both. */
export const bridges = [
  { kind: 'bridge', bridgeId: newId('bridge'), registrationIds },
  { kind: 'bridge', bridgeId: newId('bridge'), registrationIds: [registrationIds[0]] },
] as const;
export const parties: readonly Party[] = [
  ...identityNames.map((name) => ({ kind: 'identity', name }) as const),
  ...platforms,
  ...bridges,
];
export function nameOf(party: Party): string {
  if (party.kind === 'identity') return party.name;
  return party.kind === 'platform' ? party.platformId : party.bridgeId;
}

const nobody = () => false;
const only = (names: readonly string[]) => (party: Party) => party.kind === 'identity' && names.includes(party.name);
const provisioner = only(['provisioner']);
const orProvisioner = (names: readonly string[]) => only([...names, 'provisioner']);
const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>) => Object.keys(table) as K[];

/** A literal subject under a pattern of a stream. */
function literal(pattern: string): string {
  return pattern.replaceAll('*', 'x').replace('>', 'x.y');
}

function appends(): Probe[] {
  const narrow = Object.entries(narrowAppenders).map(([pattern, who]) => ({
    subject: literal(pattern),
    may: only(who),
  }));
  const whole = keysOf(streams).flatMap((stream) =>
    streams[stream].subjects.flatMap((pattern): Probe[] => {
      const who = appenders[stream][pattern] ?? [];
      if (stream !== 'access') return [{ subject: literal(pattern), may: only(who) }];
      return identityNames.map((service) => ({
        subject: `access.${service}.x`,
        may: only(who.filter((name) => name === service)),
      }));
    }),
  );
  return [...narrow, ...whole];
}

/** A bridge says what is about its registrations, under its own name. */
function bridged(): Probe[] {
  return bridges.flatMap(({ bridgeId }) =>
    registrationIds.map((registrationId) => ({
      subject: `signal.${bridgeId}.${registrationId}.x`,
      may: (party: Party) =>
        party.kind === 'bridge'
          ? party.bridgeId === bridgeId && party.registrationIds.includes(registrationId)
          : nameOf(party) === 'revocation',
    })),
  );
}

const own = 'follow_x';
const streamVerbs =
  'CREATE UPDATE DELETE PURGE SNAPSHOT RESTORE MSG.DELETE PEER.REMOVE PEER.EVACUATE CANCEL_MOVE LEADER.STEPDOWN';
const consumerVerbs = 'DURABLE.CREATE PAUSE RESET UNPIN LEADER.STEPDOWN PEER.REMOVE';
const accountApi =
  'INFO STREAM.NAMES STREAM.LIST META.LEADER.STEPDOWN SERVER.REMOVE ACCOUNT.PURGE.x ACCOUNT.STREAM.MOVE.x.y';

function streamApi(stream: StreamKey): Probe[] {
  const { name } = streams[stream];
  const follower = orProvisioner(followers[stream]);
  const [pattern] = streams[stream].subjects;
  const literals = [
    `STREAM.MSG.GET.${name}`,
    `DIRECT.GET.${name}.${literal(pattern)}`,
    `CONSUMER.CREATE.${name}.${own}`,
    `CONSUMER.CREATE.${name}.${own}.${literal(pattern)}`,
    `CONSUMER.INFO.${name}.${own}`,
    `CONSUMER.MSG.NEXT.${name}.${own}`,
    `CONSUMER.DELETE.${name}.${own}`,
  ];
  const forbidden = [
    ...streamVerbs.split(' ').map((verb) => `STREAM.${verb}.${name}`),
    ...consumerVerbs.split(' ').map((verb) => `CONSUMER.${verb}.${name}.${own}`),
    ...['CREATE', 'NAMES', 'LIST'].map((verb) => `CONSUMER.${verb}.${name}`),
  ];
  return [
    { subject: `$JS.API.STREAM.INFO.${name}`, may: orProvisioner(lookers[stream]) },
    ...literals.map((api) => ({ subject: `$JS.API.${api}`, may: follower })),
    { subject: `$JS.API.DIRECT.GET.${name}`, may: orProvisioner([...followers[stream], ...(peekers[stream] ?? [])]) },
    ...forbidden.map((api) => ({ subject: `$JS.API.${api}`, may: provisioner })),
    { subject: `$JS.ACK.${name}.${own}.1.1.1.0.0`, may: nobody },
    { subject: `$JS.FC.${name}.${own}.x`, may: nobody },
  ];
}

function durableApi(key: ConsumerKey): Probe[] {
  const { stream, name, filterSubject } = consumers[key];
  const streamKey = keysOf(streams).find((one) => streams[one].name === stream) as StreamKey;
  const worker = workers[key];
  const locked = ['CREATE', 'DELETE', ...consumerVerbs.split(' ')].map((verb) => `CONSUMER.${verb}.${stream}.${name}`);
  return [
    { subject: `$JS.API.CONSUMER.INFO.${stream}.${name}`, may: orProvisioner([worker, ...followers[streamKey]]) },
    { subject: `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, may: orProvisioner([worker]) },
    { subject: `$JS.API.CONSUMER.CREATE.${stream}.${name}.${literal(filterSubject)}`, may: provisioner },
    ...locked.map((api) => ({ subject: `$JS.API.${api}`, may: provisioner })),
    { subject: `$JS.ACK.${stream}.${name}.1.1.1.0.0`, may: only([worker]) },
    { subject: `$JS.ACK.hub.hash.${stream}.${name}.1.1.1.0.0`, may: only([worker]) },
  ];
}

const mayCall = (key: OperationKey, caller: Caller) => callers[key].includes(caller);

function calls(key: OperationKey): Probe[] {
  const { name, scope } = operations[key];
  if (scope === 'service') {
    return identityNames.map((app) => ({
      subject: `${name}.${app}`,
      may: (party) => party.kind === 'identity' && party.name === app && mayCall(key, app),
    }));
  }
  const forPlatform = platforms.map(({ tenantId: tenant, platformId }) => ({
    subject: `${name}.${tenant}.${platformId}`,
    may: (party: Party) => {
      if (party.kind === 'bridge') return false;
      return party.kind === 'platform'
        ? party.platformId === platformId && mayCall(key, 'platform')
        : party.name !== 'administrator' && mayCall(key, party.name);
    },
  }));
  const subject = `${name}.${tenantId}.${administratorToken}`;
  const may = (party: Party) => nameOf(party) === 'administrator' && mayCall(key, 'administrator');
  return [...forPlatform, { subject, may }];
}

const serves = (party: Party) => party.kind === 'identity' && Object.values(servers).includes(party.name);

/** Who serves may answer anybody: what it answers to is checked by ourselves (mayAnswerTo). */
function inboxes(): Probe[] {
  const owners = [...parties.map(nameOf), 'system'];
  return [...owners.map((owner) => `${inboxPrefix(owner)}.x`), '_R_.x'].map((subject) => ({ subject, may: serves }));
}

function others(): Probe[] {
  const asksAll = keysOf(operations).filter((key) => 'broadcast' in operations[key]);
  const discovery = identityNames.map((app) => ({
    subject: `$SRV.PING.${app}`,
    may: only(['administrator', ...asksAll.filter((key) => servers[key] === app).flatMap((key) => callers[key])]),
  }));
  const strange = ['$SYS.REQ.SERVER.PING', '$SYS.REQ.CLAIMS.UPDATE', '$SYS.REQ.USER.INFO', '$KV.x.y', '$O.x.C.y', 'x'];
  return [
    ...discovery,
    ...['$SRV.PING', '$SRV.INFO', '$SRV.STATS.vault'].map((subject) => ({ subject, may: only(['administrator']) })),
    ...strange.map((subject) => ({ subject, may: nobody })),
    ...accountApi.split(' ').map((api) => ({ subject: `$JS.API.${api}`, may: provisioner })),
  ];
}

/** Everything that can be said on the bus, derived from the contracts. */
export function publishProbes(): Probe[] {
  return [
    ...appends(),
    ...bridged(),
    ...keysOf(streams).flatMap(streamApi),
    ...keysOf(consumers).flatMap(durableApi),
    ...keysOf(operations).flatMap(calls),
    ...inboxes(),
    ...others(),
  ];
}

/** Everything that can be listened to: all that can be said, and the wildcards over it. */
export function subscribeProbes(): Probe[] {
  const heard = new Map<string, Probe['may']>();
  for (const { subject } of publishProbes()) heard.set(subject, nobody);
  for (const key of keysOf(streams)) for (const pattern of streams[key].subjects) heard.set(pattern, nobody);
  for (const subject of ['>', '*', '*.>', '$JS.>', '$SYS.>', '_INBOX.>', '_R_.>', '$SRV.>', 'tokens.>']) {
    heard.set(subject, nobody);
  }
  for (const key of keysOf(operations)) {
    const pattern = operationPattern(operations[key]);
    for (const subject of [pattern, ...calls(key).map((probe) => probe.subject)])
      heard.set(subject, only([servers[key]]));
  }
  for (const subject of heard.keys()) if (subject.startsWith('$SRV.')) heard.set(subject, serves);
  for (const owner of [...parties.map(nameOf), 'system']) {
    const may = (party: Party) => nameOf(party) === owner;
    heard.set(`${inboxPrefix(owner)}.x`, may).set(`${inboxPrefix(owner)}.>`, may);
  }
  for (const tenant of [tenantId, otherTenantId]) {
    const may = (party: Party) => party.kind === 'platform' && party.tenantId === tenant;
    heard.set(`notify.${tenant}.connection.revoked`, may).set(`notify.${tenant}.>`, may);
  }
  return [...heard].map(([subject, may]) => ({ subject, may }));
}
