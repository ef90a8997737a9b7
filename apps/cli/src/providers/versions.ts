import { assertId, PosternError, subjects } from '@postern/contracts';
import {
  changePinPolicy,
  connectionEvolver,
  pinnedOf,
  promoteVersion,
  rollBack,
  rolloutEvolver,
  startCanary,
  versionInUse,
  type Connection,
  type Rollout,
  type RolloutEvent,
} from '@postern/domain';
import { loadCatalog, providerAt, providerOf } from '@postern/provider-catalog';

import { decideAdmin } from '../admin/decide.ts';
import { text } from '../admin/shown.ts';
import { table } from '../output/printer.ts';
import type { SessionRun } from '../run-command.ts';
import type { Session } from '../session/session.ts';

/** `providers versions`: which there are, what was decided, and how many connections use which. */
export async function showVersions({ session, tenantId, printer, args: [id = ''] }: SessionRun): Promise<void> {
  const rollout = await rolloutOf(session, tenantId, id);
  const counts = await countConnections(session, { tenantId, id, rollout });
  const known = [...new Set([...loadCatalog().versionsOf(id), ...counts.keys()])].toSorted((one, two) => one - two);
  const versions = known.map((version) => ({
    version,
    state: stateOf(version, { id, rollout }),
    pinned: counts.get(version)?.pinned ?? 0,
    in_use: counts.get(version)?.inUse ?? 0,
  }));
  const { canary, reauthorizationMovesPin } = rollout;
  const moves = reauthorizationMovesPin;
  const shown = { provider: id, versions, canary, current: rollout.current, reauthorization_moves_pin: moves };
  printer.result(shown, () => [
    ...table([
      ['VERSION', 'STATE', 'PINNED', 'IN USE'],
      ...versions.map(({ version, state, pinned, in_use: inUse }) => [
        String(version),
        state,
        String(pinned),
        String(inUse),
      ]),
    ]),
    ...(canary === null ? [] : [canaryLine(canary)]),
    `a re-authorization ${moves ? 'moves a connection to what new ones get' : 'leaves a connection at its version'}`,
  ]);
}

/** `providers canary` */
export async function canary({ options, ...run }: SessionRun): Promise<void> {
  const { session, tenantId, args } = run;
  const id = args[0] ?? '';
  const version = versionIn(id, options['fileVersion'], '--file-version');
  const { current } = await rolloutOf(session, tenantId, id);
  const otherwise =
    options['otherwise'] === undefined
      ? (current?.version ?? providerOf(loadCatalog(), id).version)
      : versionIn(id, options['otherwise'], '--otherwise');
  const data = {
    version,
    otherwise,
    sharePercent: percentIn(options['share']),
    connectionIds: (options['connection'] as string[]).map((one) => assertId('connection', one)),
    registrationIds: (options['registration'] as string[]).map((one) => assertId('registration', one)),
  };
  await decide(run, (state) => startCanary({ providerId: id, ...data }, state));
}

/** `providers promote` */
export async function promote({ options, ...run }: SessionRun): Promise<void> {
  const id = run.args[0] ?? '';
  const version = versionIn(id, options['fileVersion'], '--file-version');
  const carriesConnections = options['newOnly'] !== true;
  await decide(run, (state) => promoteVersion({ providerId: id, version, carriesConnections }, state));
}

/** `providers rollback` */
export async function rollback({ options, ...run }: SessionRun): Promise<void> {
  const reason = options['reason'] === undefined ? null : text(options, 'reason');
  await decide(run, (state) => rollBack({ reason }, state));
}

/** `providers pins` */
export async function pins({ options, ...run }: SessionRun): Promise<void> {
  const policy = text(options, 'onReauthorization');
  if (policy !== 'move' && policy !== 'keep') {
    throw new PosternError('request.malformed', '--on-reauthorization takes move or keep.');
  }
  const providerId = run.args[0] ?? '';
  await decide(run, (state) => changePinPolicy({ providerId, reauthorizationMovesPin: policy === 'move' }, state));
}

/** What the tenant decided about a provider of the catalog. @throws {PosternError} `provider.not_found` */
export async function rolloutOf(session: Session, tenantId: string, providerId: string): Promise<Rollout> {
  const { id } = providerOf(loadCatalog(), providerId);
  return (await session.repository(rolloutEvolver).load({ tenantId, id }, { fromLeader: true })).state;
}

/** The version that a connection uses, for a line that people read. */
export function versionLine(state: Connection, rollout: Rollout): string {
  const { pinned } = pinnedOf(state);
  const decided = versionInUse(pinnedOf(state), rollout);
  const { version } = providerAt(loadCatalog(), state.providerId, decided);
  const used = `uses ${version}`;
  if (pinned === null) return `made before there were pins, ${used}`;
  if (pinned === version) return `${pinned}`;
  const gone = decided === pinned ? ', which this release has no more' : '';
  return `made with ${pinned}${gone}, ${used}${rollout.canary?.version === version ? ' (canary)' : ''}`;
}

async function decide(
  { session, tenantId, printer, args: [id = ''] }: Omit<SessionRun, 'options'>,
  decider: (state: Rollout) => RolloutEvent[],
): Promise<void> {
  const target = { evolver: rolloutEvolver, tenantId, id: providerOf(loadCatalog(), id).id };
  const state = await decideAdmin(session, target, decider);
  printer.result(state, () => [
    state.canary === null ? 'no canary runs' : canaryLine(state.canary),
    state.current === null
      ? 'new connections get what the catalog has as its newest'
      : `new connections get version ${state.current.version}`,
    `see: postern providers versions ${id}`,
  ]);
}

function canaryLine({ version, sharePercent, connectionIds, registrationIds }: NonNullable<Rollout['canary']>): string {
  const named = [...connectionIds, ...registrationIds];
  return `canary: version ${version} for ${[`${sharePercent} % of the connections`, ...named].join(', ')}`;
}

function stateOf(version: number, { id, rollout }: { readonly id: string; readonly rollout: Rollout }): string {
  const { canary: running, current, withdrawn } = rollout;
  const newest = providerOf(loadCatalog(), id).version;
  const words = [
    running?.version === version && 'canary',
    current?.version === version && (current.carriesConnections ? 'promoted' : 'for new ones'),
    current === null && version === newest && 'for new ones',
    withdrawn.includes(version) && 'rolled back',
    loadCatalog().version(id, version) === undefined && `gone: ${newest} is used`,
  ];
  return words.filter((word) => word !== false).join(', ') || '-';
}

interface Counts {
  pinned: number;
  inUse: number;
}

/** Goes through the newest commit of each connection of the tenant; what was made before there were pins has none. */
async function countConnections(
  session: Session,
  { tenantId, id, rollout }: { readonly tenantId: string; readonly id: string; readonly rollout: Rollout },
): Promise<Map<number, Counts>> {
  const counts = new Map<number, Counts>();
  const at = (version: number) => {
    const count = counts.get(version) ?? { pinned: 0, inUse: 0 };
    counts.set(version, count);
    return count;
  };
  const repository = session.repository(connectionEvolver);
  for await (const { subject } of session.connections.read({
    filter: subjects.connectionsOfTenant(tenantId),
    lastPerSubject: true,
  })) {
    const { state } = await repository.load({ tenantId, id: subject.split('.')[3] ?? '' });
    if (state.providerId !== id || state.credential === null || state.authorization === 'deleted') continue;
    const pinned = pinnedOf(state);
    if (pinned.pinned !== null) at(pinned.pinned).pinned += 1;
    at(providerAt(loadCatalog(), id, versionInUse(pinned, rollout)).version).inUse += 1;
  }
  return counts;
}

function versionIn(id: string, option: unknown, flag: string): number {
  const version = Number(option);
  providerOf(loadCatalog(), id);
  if (loadCatalog().version(id, version) !== undefined) return version;
  const known = loadCatalog().versionsOf(id).join(', ');
  throw new PosternError('provider.version_unknown', `${flag} takes one of ${known}, not ${String(option)}.`);
}

function percentIn(option: unknown): number {
  if (option === undefined) return 0;
  const percent = Number(option);
  if (percent > 0 && percent <= 100) return percent;
  throw new PosternError('request.malformed', '--share takes a percentage above 0 and up to 100.');
}
