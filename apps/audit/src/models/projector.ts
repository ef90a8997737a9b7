import { isPosternError, PosternError, subjects } from '@postern/contracts';
import { connectionEvolver, upcast, type Connection } from '@postern/domain';
import {
  logLeafHash,
  Repository,
  type AccessEntry,
  type AccessReader,
  type AnyEvent,
  type CommitReader,
  type EventLog,
  type LogEntry,
  type StoredMessage,
} from '@postern/event-log';
import type { CrossingTransaction } from '@postern/persistence';

import { generationsOf, type Checkpoint, type GenerationRole, type SetAside } from './checkpoints.ts';
import type { AccessModel, ConnectionModel, ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import { writeAccess, writeConnections, type Batch, type ReadMessage } from './write-batch.ts';

const { batchMessagesMax, batchBytesMax } = modelLimits;

/** What is used of the tables. */
export interface ModelDatabase {
  acrossTenants<T>(work: (transaction: CrossingTransaction) => Promise<T>): Promise<T>;
}

export interface ProjectorOptions {
  readonly model: ReadModel;
  readonly database: ModelDatabase;
  /** The model's stream. */
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly accessReader: AccessReader;
  /** For how long a row is kept that grows old. */
  readonly keptMs: number;
  /** Told of each message that no row comes of, once its transaction is through. */
  readonly onSetAside?: ((generation: Checkpoint, one: SetAside) => void) | undefined;
}

export interface CatchUpOptions {
  /** The log's end as of the call when absent. */
  readonly untilPosition?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of each tenant that a message names. */
  readonly onTenant?: ((tenantId: string) => void) | undefined;
}

type Entry = LogEntry | AccessEntry;
type Message = ReadMessage<Entry> & { readonly stored: StoredMessage };

/**
 * Turns a stream into the rows of one model, batch by batch: rows and checkpoint in one transaction. While one batch is
 * being written the next is read, so what is in memory is two of them, however long the log is.
 */
export class Projector {
  readonly model: ReadModel;
  readonly #options: ProjectorOptions;
  readonly #repository: Repository<Connection, AnyEvent>;

  constructor(options: ProjectorOptions) {
    this.model = options.model;
    this.#options = options;
    const { log, reader } = options;
    this.#repository = new Repository({ log, reader, evolver: connectionEvolver, source: '/postern/audit', upcast });
  }

  /** Where the generation of that role stands. @throws {PosternError} `audit.projection_superseded` when there is none */
  async standing(role: GenerationRole): Promise<Checkpoint> {
    const generations = await this.#options.database.acrossTenants((tx) => generationsOf(tx, this.model.name));
    const found = generations.find((one) => one.role === role);
    if (found !== undefined) return found;
    throw new PosternError(
      'audit.projection_superseded',
      `The read model ${this.model.name} has no ${role} generation.`,
    );
  }

  /**
   * Is the log still the one that this was made of: does the last message that was read stand where it did?
   *
   * @throws {PosternError} `audit.log_replaced`
   */
  async requireSameLog({ position, logIdentity }: Checkpoint): Promise<void> {
    if (position === 0) return;
    const message = await this.#options.log.at(position);
    if (message !== undefined && identityOf(message) === logIdentity) return;
    const found = message === undefined ? 'nothing stands' : 'another message stands';
    throw new PosternError(
      'audit.log_replaced',
      `At position ${position}, up to which ${this.model.name} was read, ${found}.`,
    );
  }

  /**
   * Reads on from where a generation stands.
   *
   * @effect May be run by several at once: one of them goes on, the others are told so.
   * @returns where it stands now.
   * @throws {PosternError} `audit.projection_superseded`, `audit.log_replaced`, `audit.database_unavailable`,
   *   `log.unavailable`
   */
  async catchUp(role: GenerationRole, options: CatchUpOptions = {}): Promise<Checkpoint> {
    let standing = await this.standing(role);
    await this.requireSameLog(standing);
    let writing: Promise<Checkpoint> = Promise.resolve(standing);
    let batch: Message[] = [];
    let bytes = 0;
    const flush = async () => {
      standing = await writing;
      options.signal?.throwIfAborted();
      const messages = batch;
      batch = [];
      bytes = 0;
      writing = this.#write(standing, messages);
      // It is awaited with the next batch; until then its failure is nobody's unhandled one.
      writing.catch(() => undefined);
    };
    const { untilPosition, onTenant } = options;
    const filter = this.model.stream === 'access' ? subjects.allAccess : subjects.allConnections;
    const range = { filter, fromPosition: standing.position + 1, untilPosition };
    try {
      for await (const stored of this.#options.log.read(range)) {
        const message = await this.#read(stored);
        if (onTenant !== undefined) tenantsOf(message).forEach(onTenant);
        batch.push(message);
        bytes += stored.payload.byteLength;
        if (batch.length >= batchMessagesMax || bytes >= batchBytesMax) await flush();
      }
      if (batch.length > 0) await flush();
    } finally {
      await writing.catch(() => undefined);
    }
    return await writing;
  }

  async #read(stored: StoredMessage): Promise<Message> {
    const { reader, accessReader } = this.#options;
    const read = this.model.stream === 'access' ? accessReader.read(stored) : reader.read(stored);
    if (read.kind === 'access') return { entry: read.entry, state: undefined, stored };
    if (read.kind !== 'commit') {
      const { position, kind, reason } = read;
      return { problem: { position, kind, reason }, stored };
    }
    const { entry } = read;
    try {
      return { entry, state: await this.#stateAfter(entry), stored };
    } catch (error) {
      if (isPosternError(error) && error.row.retry === 'later') throw error;
      return { problem: unusable(stored.position, error), stored };
    }
  }

  /** As the commit carries it; what an older release carried is folded anew. */
  async #stateAfter({ commit, position }: LogEntry): Promise<Connection> {
    if (commit.stateVersion === connectionEvolver.stateVersion) return commit.state as Connection;
    return (await this.#repository.at({ tenantId: commit.tenantId, id: commit.aggregateId }, position)).state;
  }

  /** Where the tables refuse a batch its messages are tried in halves, until the one is found that no row comes of. */
  async #write(from: Checkpoint, messages: readonly Message[]): Promise<Checkpoint> {
    const last = messages.at(-1);
    if (last === undefined) return from;
    const to: Checkpoint = {
      ...from,
      position: last.stored.position,
      logIdentity: identityOf(last.stored),
      messages: from.messages + messages.length,
      keptFromMs: Math.max(from.keptFromMs, ...messages.map((message) => this.#keptFromMs(message))),
    };
    try {
      const aside = await this.#options.database.acrossTenants((tx) => this.#put(tx, { from, to, messages }));
      for (const one of aside) this.#options.onSetAside?.(from, one);
      return to;
    } catch (error) {
      if (!isOfAMessage(error)) throw error;
      if (messages.length > 1) {
        const half = Math.ceil(messages.length / 2);
        return await this.#write(await this.#write(from, messages.slice(0, half)), messages.slice(half));
      }
      if ('problem' in last) throw error;
      return await this.#write(from, [{ problem: unusable(last.stored.position, error), stored: last.stored }]);
    }
  }

  #keptFromMs(message: Message): number {
    if (this.model.stream !== 'access' || 'problem' in message || !('group' in message.entry)) return 0;
    return this.model.keptFromMs(message.entry, this.#options.keptMs);
  }

  #put(transaction: CrossingTransaction, batch: Omit<Batch<unknown, Entry>, 'model'>): Promise<SetAside[]> {
    const { model } = this;
    return model.stream === 'access'
      ? writeAccess(transaction, { ...batch, model } as Batch<AccessModel, AccessEntry>)
      : writeConnections(transaction, { ...batch, model } as Batch<ConnectionModel, LogEntry>);
  }
}

function identityOf(message: StoredMessage): string {
  return Buffer.from(logLeafHash(message)).toString('base64url');
}

/** Is it what a message holds, rather than a table, a right or a server that is missing? PostgreSQL's classes 22 and 23. */
function isOfAMessage(error: unknown): boolean {
  if (isPosternError(error) || !(error instanceof Error) || error.name === 'AbortError') return false;
  const { code } = error as { readonly code?: unknown };
  return code === undefined || (typeof code === 'string' && /^2[23]...$/.test(code));
}

function unusable(position: number, error: unknown): SetAside {
  return { position, kind: 'unusable', reason: error instanceof Error ? error.name : 'it makes no row' };
}

function tenantsOf(message: Message): string[] {
  if ('problem' in message) return [];
  const { entry } = message;
  return 'commit' in entry ? [entry.commit.tenantId] : entry.group.records.map(({ tenantId }) => tenantId);
}
