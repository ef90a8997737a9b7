import { Injectable } from '@nestjs/common';
import {
  momentParts,
  PosternError,
  provenStreams,
  streamFilters,
  streams,
  subjects,
  timestampOf,
  type Moment,
  type ProvenStream,
} from '@postern/contracts';
import { connectionEvolver, evolverOf, upcast, type AdminState, type Connection } from '@postern/domain';
import {
  AccessReader,
  CommitReader,
  emptyLoaded,
  following,
  Repository,
  type AnyEvent,
  type Evolver,
  type Loaded,
  type LogEntry,
  type StoredMessage,
} from '@postern/event-log';
import { Clock, Trust } from '@postern/service';

import { Directory } from './directory.ts';
import { PastLogs, requireRead, requireTold, requireWhole, type Floors } from './past-logs.ts';
import { positionAt, type TimedLog } from './position-at.ts';

/** Positions between which messages are read, both included. */
export interface Range {
  readonly fromPosition: number;
  readonly untilPosition: number;
}

type Positions = Readonly<Record<ProvenStream, number>>;

/** So many directories stay in memory: pages of one answer ask for the same one again and again. */
const directoriesMax = 16;

/**
 * The log as it stood at a moment: the one door through which questions about the past read it.
 *
 * A state is proven from what stands up to a position and nothing after it, so the answer to a question at a moment is the
 * same whenever it is asked. Carried states are the snapshots: no life is read from its beginning where a commit tells it.
 */
@Injectable()
export class Past {
  readonly accessReader: AccessReader;
  readonly #connections: Repository<Connection, AnyEvent>;
  readonly #directories = new Map<string, Directory>();
  /** As they were when the newest question began. */
  #floors: Floors = { connections: 1, access: 1 };

  constructor(
    private readonly logs: PastLogs,
    private readonly reader: CommitReader,
    private readonly clock: Clock,
    { verifier }: Trust,
  ) {
    this.accessReader = new AccessReader({ verifier });
    this.#connections = new Repository({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      source: '/postern/audit',
      upcast,
    });
  }

  /**
   * Where the streams stood at a moment; now when none is named.
   *
   * @throws {PosternError} `request.malformed` for a moment that has not come, or a position at which nothing stands;
   *   `audit.past_not_here` for one of which too much was dropped.
   */
  async moment(asked: string | undefined): Promise<Moment> {
    this.#floors = await this.logs.floors();
    const moment = await this.#moment(asked);
    requireTold(moment, this.#floors);
    return moment;
  }

  async #moment(asked: string | undefined): Promise<Moment> {
    if (asked === undefined) return momentOf(await this.#heads(), this.clock.nowMs());
    const parts = momentParts(asked);
    if (parts === undefined) throw malformed(`${asked} names no moment.`);
    if ('position' in parts) return await this.#atPosition(parts.position);
    const { timeMs, positions } = parts;
    if (timeMs > this.clock.nowMs()) throw malformed(`${timestampOf(timeMs)} has not come yet.`);
    if (positions === undefined) return momentOf(await this.#atTime(timeMs), timeMs);
    const heads = await this.#heads();
    const beyond = provenStreams.find((stream) => positions[stream] > heads[stream]);
    if (beyond !== undefined) throw malformed(`${streams[beyond].name} ends at position ${heads[beyond]}.`);
    return momentOf(positions, timeMs);
  }

  /** A connection as it stood; revision 0 where there was none. */
  async connection(ref: { tenantId: string; id: string }, position: number): Promise<Loaded<Connection>> {
    requireTold({ connections: position }, this.#floors);
    return await this.#connections.at(ref, position);
  }

  /** The same of several of a tenant's, in their order. */
  async connections(tenantId: string, ids: readonly string[], position: number): Promise<Loaded<Connection>[]> {
    requireTold({ connections: position }, this.#floors);
    return await this.#connections.atEach(
      ids.map((id) => ({ tenantId, id })),
      position,
    );
  }

  /** What happened to a connection, in order. */
  history(ref: { tenantId: string; id: string }, untilPosition: number): AsyncIterable<LogEntry> {
    return this.#connections.history(ref, { untilPosition });
  }

  /**
   * What happened to a connection behind a position, in order: all of it.
   *
   * @throws {PosternError} `audit.past_not_here` where some of it was dropped, and no archive that is known here holds it.
   */
  async *life(ref: { tenantId: string; id: string }, after: number): AsyncIterable<LogEntry> {
    await this.logs.floor('connections');
    const { firstPosition } = await this.logs.connections.beginning();
    let isWhole = after >= firstPosition - 1;
    for await (const entry of this.#connections.history(ref, { fromPosition: after + 1 })) {
      isWhole ||= entry.commit.revision === 1;
      requireWhole(isWhole, firstPosition);
      yield entry;
    }
  }

  /** A tenant's configuration as it stood. */
  async directory(tenantId: string, position: number): Promise<Directory> {
    const nearest = this.#nearest(tenantId, position);
    if (nearest?.position === position) return nearest;
    const states = new Map(nearest?.states);
    const filter = subjects.adminOfTenant(tenantId);
    const range = { fromPosition: (nearest?.position ?? 0) + 1, untilPosition: position };
    for await (const message of this.logs.admin.read({ filter, ...range })) {
      const entry = this.commitOf(message);
      if (entry === undefined) continue;
      const evolver = evolverOf(entry.commit.aggregate) as unknown as Evolver<AdminState, AnyEvent>;
      const before = states.get(entry.subject) ?? emptyLoaded(evolver);
      // What does not follow is an intruder's, and later commits step over it.
      states.set(entry.subject, following(before, entry, { evolver, upcast }) ?? before);
    }
    return this.#keep(new Directory(tenantId, position, states));
  }

  /** Groups of access records as they stand; `accessReader` says which are true. */
  access(range: Range): AsyncIterable<StoredMessage> {
    requireRead(range.fromPosition, this.#floors);
    return this.logs.access.read({ filter: subjects.allAccess, ...range });
  }

  /** What was written of a tenant between two positions, in order. */
  written(stream: 'connections' | 'admin', tenantId: string, range: Range): AsyncIterable<StoredMessage> {
    const filter = stream === 'admin' ? subjects.adminOfTenant(tenantId) : subjects.connectionsOfTenant(tenantId);
    return this.logs[stream].read({ filter, ...range });
  }

  /** Where the last message of an aggregate stands, at or before a position; 0 where there is none. */
  async lastPosition(stream: 'connections' | 'admin', subject: string, untilPosition: number): Promise<number> {
    return (await this.logs[stream].last(subject, { untilPosition }))?.position ?? 0;
  }

  /**
   * What a message says, if somebody signed it who may write it.
   *
   * @throws {PosternError} `log.version_unknown` for a commit from the future: what it does nobody here can tell.
   */
  commitOf(message: StoredMessage): LogEntry | undefined {
    const read = this.reader.read(message);
    if (read.kind === 'commit') return read.entry;
    if (read.kind !== 'future') return undefined;
    throw new PosternError('log.version_unknown', `At position ${read.position}: ${read.reason}.`);
  }

  async #heads(): Promise<Positions> {
    const [connections, admin, access] = await Promise.all(provenStreams.map((stream) => this.logs[stream].head()));
    return { connections: connections ?? 0, admin: admin ?? 0, access: access ?? 0 };
  }

  async #atPosition(position: number): Promise<Moment> {
    const message = position === 0 ? undefined : await this.logs.connections.at(position);
    const timeMs = message && this.#timed('connections').timeOf(message);
    if (timeMs === undefined) throw malformed(`No commit stands at position ${position} of CONNECTIONS.`);
    return momentOf({ ...(await this.#atTime(timeMs, ['admin', 'access'])), connections: position }, timeMs);
  }

  /** @param wanted of the streams; the others stand at 0. */
  async #atTime(timeMs: number, wanted: readonly ProvenStream[] = provenStreams): Promise<Positions> {
    const found = wanted.map(async (stream) => [stream, await positionAt(timeMs, this.#timed(stream))] as const);
    return { connections: 0, admin: 0, access: 0, ...Object.fromEntries(await Promise.all(found)) };
  }

  #timed(stream: ProvenStream): TimedLog {
    const timeOf = (message: StoredMessage) => {
      const said = stream === 'access' ? this.#recordedAt(message) : this.#committedAt(message);
      return said === undefined ? undefined : Date.parse(said);
    };
    return { log: this.logs[stream], filter: streamFilters[stream], timeOf };
  }

  #committedAt(message: StoredMessage): string | undefined {
    const read = this.reader.read(message);
    return read.kind === 'commit' ? read.entry.commit.at : undefined;
  }

  #recordedAt(message: StoredMessage): string | undefined {
    const read = this.accessReader.read(message);
    return read.kind === 'access' ? read.entry.group.records.at(-1)?.at : undefined;
  }

  #nearest(tenantId: string, position: number): Directory | undefined {
    let nearest: Directory | undefined;
    for (const directory of this.#directories.values()) {
      if (directory.tenantId !== tenantId || directory.position > position) continue;
      if (directory.position >= (nearest?.position ?? 0)) nearest = directory;
    }
    return nearest;
  }

  #keep(directory: Directory): Directory {
    this.#directories.set(`${directory.tenantId}/${directory.position}`, directory);
    const [eldest] = this.#directories.keys();
    if (this.#directories.size > directoriesMax && eldest !== undefined) this.#directories.delete(eldest);
    return directory;
  }
}

function momentOf(positions: Positions, timeMs: number): Moment {
  const { connections, admin, access } = positions;
  const time = timestampOf(timeMs);
  return { moment: `${connections}/${admin}/${access}@${time}`, time, connections, admin, access };
}

function malformed(why: string): PosternError {
  return new PosternError('request.malformed', why);
}
