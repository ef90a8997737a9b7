import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError, streams, type Moment } from '@postern/contracts';
import {
  archiveStoreAt,
  ArchiveIndex,
  StreamArchive,
  withArchive,
  type ArchiveStore,
  type EventLog,
} from '@postern/event-log';
import { EventLogs } from '@postern/service';

import { AuditConfig } from '../audit-config.ts';

/** The streams whose beginning may be archived and dropped. */
const cut = ['connections', 'access'] as const;
type CutStream = (typeof cut)[number];

/** The first position of each stream that can be told about. */
export type Floors = Readonly<Record<CutStream, number>>;

/**
 * The log with the archives of its beginning, for questions about the past: the same answer before something is dropped
 * and afterwards, or a refusal in words; never one that leaves out what nobody can read any more.
 */
@Injectable()
export class PastLogs implements OnApplicationShutdown {
  readonly connections: EventLog;
  readonly admin: EventLog;
  readonly access: EventLog;
  readonly #live: Readonly<Record<CutStream, EventLog>>;
  readonly #archives: Readonly<Record<CutStream, ArchiveIndex>> | undefined;

  constructor(logs: EventLogs, { archiveDir, archiveS3 }: AuditConfig) {
    this.#live = { connections: logs.connections, access: logs.access };
    const store = archiveDir === undefined ? undefined : archiveStoreAt(archiveDir, archiveS3);
    const archive = (place: ArchiveStore, stream: CutStream) => new ArchiveIndex(new StreamArchive(place, stream));
    this.#archives = store && { connections: archive(store, 'connections'), access: archive(store, 'access') };
    this.admin = logs.admin;
    this.connections = this.withArchive('connections', logs.connections);
    this.access = this.withArchive('access', logs.access);
  }

  async onApplicationShutdown(): Promise<void> {
    for (const stream of cut) await this.#archives?.[stream].close();
  }

  /** The archive of CONNECTIONS, where this service knows one and something was dropped. */
  async archivedConnections(): Promise<ArchiveIndex | undefined> {
    const { firstPosition } = await this.#live.connections.beginning();
    return firstPosition === 1 ? undefined : this.#archives?.connections;
  }

  /**
   * From where on questions can be answered. Of CONNECTIONS without its archive that is where everything had been verified
   * when it was cut: each connection has its opening at or before that.
   *
   * @throws {PosternError} `audit.past_not_here` when the archive that is named does not hold what was dropped.
   */
  async floors(): Promise<Floors> {
    const [connections, access] = await Promise.all(cut.map((stream) => this.floor(stream)));
    return { connections: connections ?? 1, access: access ?? 1 };
  }

  /** @throws {PosternError} `audit.past_not_here` as `floors` does, for one stream. */
  async floor(stream: CutStream): Promise<number> {
    const { firstPosition, verifiedUpTo } = await this.#live[stream].beginning();
    if (firstPosition === 1) return 1;
    if (this.#archives === undefined) return stream === 'connections' ? verifiedUpTo : firstPosition;
    const archivedUpTo = await this.#archives[stream].lastPosition(firstPosition - 1);
    if (archivedUpTo >= firstPosition - 1) return 1;
    const { name } = streams[stream];
    throw notHere(`${name} stands from position ${firstPosition} on, and its archive ends at ${archivedUpTo}.`);
  }

  /** What stands of a stream, read in whatever way, and before it what this service's archive holds of it. */
  withArchive(stream: CutStream, live: EventLog): EventLog {
    return this.#archives === undefined ? live : withArchive(live, this.#archives[stream]);
  }
}

/** @throws {PosternError} `audit.past_not_here` for a moment before what can be told about. */
export function requireTold({ connections }: Pick<Moment, 'connections'>, floors: Floors): void {
  if (connections >= floors.connections || floors.connections === 1) return;
  throw notHere(`CONNECTIONS is told about from position ${floors.connections} on.`);
}

/** @throws {PosternError} `audit.past_not_here` for records before those that can be read. */
export function requireRead(fromPosition: number, floors: Floors): void {
  if (fromPosition >= floors.access) return;
  throw notHere(`Records of ACCESS are read from position ${floors.access} on: name a later moment to begin from.`);
}

/** @throws {PosternError} `audit.past_not_here` where events came before those that stand, which is not kept silent. */
export function requireWhole(isWhole: boolean, firstPosition: number): void {
  if (isWhole) return;
  throw notHere(`Events are told from position ${firstPosition} on: ask for those after ${firstPosition - 1}.`);
}

/** @throws {PosternError} `audit.past_not_here` where a stream cannot be read from its first message on. */
export function requireBeginning(stream: CutStream, floor: number): void {
  if (floor === 1) return;
  throw notHere(`The beginning of ${streams[stream].name} was dropped, and no archive of it is named.`);
}

function notHere(what: string): PosternError {
  return new PosternError('audit.past_not_here', what);
}
