import { isPosternError, PosternError, subjects } from '@postern/contracts';
import { connectionEvolver, upcast, type Connection } from '@postern/domain';
import {
  logLeafHash,
  LruCache,
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
import {
  writeAccess,
  writeConnections,
  type ConnectionBatch,
  type ReadMessage,
  type RowsOfSteps,
  type Step,
} from './write-batch.ts';

const { batchMessagesMax, batchBytesMax, knownConnectionsMax } = modelLimits;

/** What is used of the tables. */
export interface ModelDatabase {
  acrossTenants<T>(work: (transaction: CrossingTransaction) => Promise<T>): Promise<T>;
}

export interface ProjectorOptions {
  readonly stream: ReadModel['stream'];
  readonly database: ModelDatabase;
  /** That stream. */
  readonly log: EventLog;
  readonly reader: CommitReader;
  readonly accessReader: AccessReader;
  /** For how long a row is kept that grows old. */
  readonly keptMs: number;
  /** Told of each message that no row comes of, once its transaction is through. */
  readonly onSetAside?: ((standing: Standing, one: SetAside) => void) | undefined;
}

/** A generation of a model, and how far it has read. */
export interface Standing {
  readonly model: ReadModel;
  readonly checkpoint: Checkpoint;
}

export interface WalkOptions {
  /** The log's end as of the call when absent. */
  readonly untilPosition?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told of each tenant that a message names. */
  readonly onTenant?: ((tenantId: string) => void) | undefined;
}

/** Where a walk has brought whom, and who left it for what. */
export interface Walked {
  readonly standings: readonly Standing[];
  readonly failed: readonly { readonly model: ReadModel; readonly error: unknown }[];
}

type Entry = LogEntry | AccessEntry;
type Leaf = Pick<StoredMessage, 'subject' | 'payload'>;
type Message = ReadMessage<Entry> & { readonly stored: Leaf & Pick<StoredMessage, 'position'> };

interface Batch extends Pick<ConnectionBatch, 'known'> {
  readonly messages: readonly Message[];
}

/**
 * Turns a stream into the rows of its models, batch by batch: rows and checkpoint in one transaction. While one batch is
 * being written the next two are read, so that neither reading nor writing waits for the end of the other; what is in
 * memory is three of them, however long the log is.
 *
 * Models that stand at the same position walk together: reading a message and checking it takes longer than making a row
 * of it.
 */
export class Projector {
  readonly #options: ProjectorOptions;
  readonly #repository: Repository<Connection, AnyEvent>;

  constructor(options: ProjectorOptions) {
    this.#options = options;
    const { log, reader } = options;
    this.#repository = new Repository({ log, reader, evolver: connectionEvolver, source: '/postern/audit', upcast });
  }

  /** Where the generation of that role stands. @throws {PosternError} `audit.projection_superseded` when there is none */
  async standing(model: ReadModel, role: GenerationRole): Promise<Standing> {
    const generations = await this.#options.database.acrossTenants((tx) => generationsOf(tx, model.name));
    const checkpoint = generations.find((one) => one.role === role);
    if (checkpoint !== undefined) return { model, checkpoint };
    throw new PosternError('audit.projection_superseded', `The read model ${model.name} has no ${role} generation.`);
  }

  /**
   * Is the log still the one that this was made of: does the last message that was read stand where it did?
   *
   * @throws {PosternError} `audit.log_replaced`
   */
  async requireSameLog({ model, checkpoint: { position, logIdentity } }: Standing): Promise<void> {
    if (position === 0) return;
    const message = await this.#options.log.at(position);
    if (message !== undefined && identityOf(message) === logIdentity) return;
    const found = message === undefined ? 'nothing stands' : 'another message stands';
    throw new PosternError(
      'audit.log_replaced',
      `At position ${position}, up to which ${model.name} was read, ${found}.`,
    );
  }

  /**
   * Reads on from where one generation stands.
   *
   * @effect May be run by several at once: one of them goes on, the others are told so.
   * @returns where it stands now.
   * @throws {PosternError} `audit.projection_superseded`, `audit.log_replaced`, `audit.database_unavailable`,
   *   `log.unavailable`
   */
  async catchUp(model: ReadModel, role: GenerationRole, options: WalkOptions = {}): Promise<Checkpoint> {
    const from = await this.standing(model, role);
    await this.requireSameLog(from);
    const { standings, failed } = await this.walk([from], options);
    for (const { error } of failed) throw error;
    return (standings[0] ?? from).checkpoint;
  }

  /**
   * Reads on from where these stand, all at the same position of the log they were made of.
   *
   * @effect as `catchUp`. @throws {PosternError} `log.unavailable`
   */
  async walk(together: readonly Standing[], options: WalkOptions = {}): Promise<Walked> {
    const known = new LruCache<RowsOfSteps>(knownConnectionsMax);
    let walked: Walked = { standings: together, failed: [] };
    let [before, writing] = [Promise.resolve(walked), Promise.resolve(walked)];
    let batch: Message[] = [];
    let bytes = 0;
    const flush = async () => {
      walked = await before;
      options.signal?.throwIfAborted();
      const messages = batch;
      batch = [];
      bytes = 0;
      before = writing;
      writing = writing.then(async (reached) => {
        options.signal?.throwIfAborted();
        return await this.#write(reached, { messages, known });
      });
      // It is awaited with a later batch; until then its failure is nobody's unhandled one.
      writing.catch(() => undefined);
    };
    const { untilPosition, onTenant } = options;
    const { stream, log } = this.#options;
    const filter = stream === 'access' ? subjects.allAccess : subjects.allConnections;
    const range = { filter, fromPosition: (together[0]?.checkpoint.position ?? 0) + 1, untilPosition };
    try {
      for await (const stored of log.read(range)) {
        const read = this.#read(stored);
        const message = read instanceof Promise ? await read : read;
        if (onTenant !== undefined) tenantsOf(message).forEach(onTenant);
        batch.push(message);
        bytes += stored.payload.byteLength;
        if (batch.length >= batchMessagesMax || bytes >= batchBytesMax) await flush();
        if (walked.standings.length === 0) break;
      }
      if (batch.length > 0) await flush();
    } finally {
      await writing.catch(() => undefined);
    }
    return await writing;
  }

  /** At once, but for what has to be looked up. */
  #read(message: StoredMessage): Message | Promise<Message> {
    const { stream, reader, accessReader } = this.#options;
    const { position, subject, payload } = message;
    const stored = { position, subject, payload };
    const read = stream === 'access' ? accessReader.read(message) : reader.read(message);
    if (read.kind === 'access') return { entry: read.entry, state: undefined, stored };
    if (read.kind !== 'commit') {
      const { kind, reason } = read;
      return { problem: { position, kind, reason }, stored };
    }
    const { entry } = read;
    const { commit } = entry;
    if (commit.stateVersion === connectionEvolver.stateVersion)
      return { entry, state: commit.state as Connection, stored };
    return this.#withStateOf(entry, stored);
  }

  /** What an older release carried is folded anew. */
  async #withStateOf(entry: LogEntry, stored: Message['stored']): Promise<Message> {
    const { commit, position } = entry;
    try {
      const ref = { tenantId: commit.tenantId, id: commit.aggregateId };
      return { entry, state: (await this.#repository.at(ref, position)).state, stored };
    } catch (error) {
      if (isPosternError(error) && error.row.retry === 'later') throw error;
      return { problem: unusable(position, error), stored };
    }
  }

  /** In one transaction for all; where that does not go through, each by itself, so that nobody waits for another. */
  async #write({ standings, failed }: Walked, batch: Batch): Promise<Walked> {
    if (standings.length > 1) {
      try {
        return { standings: await this.#writeTogether(standings, batch), failed };
      } catch {
        // Whoever it is finds out below.
      }
    }
    const reached: Standing[] = [];
    const left = [...failed];
    for (const standing of standings) {
      const { model } = standing;
      try {
        reached.push(await this.#writeAlone(standing, batch));
      } catch (error) {
        left.push({ model, error });
      }
      // They are of this step.
      if (standings.length > 1) batch.known.clear();
    }
    return { standings: reached, failed: left };
  }

  /** Where the tables refuse a batch its messages are tried in halves, until the one is found that no row comes of. */
  async #writeAlone(from: Standing, { messages, known }: Batch): Promise<Standing> {
    try {
      const [to = from] = await this.#writeTogether([from], { messages, known });
      return to;
    } catch (error) {
      const last = messages.at(-1);
      if (last === undefined || !isOfAMessage(error)) throw error;
      if (messages.length > 1) {
        const half = Math.ceil(messages.length / 2);
        const middle = await this.#writeAlone(from, { messages: messages.slice(0, half), known });
        return await this.#writeAlone(middle, { messages: messages.slice(half), known });
      }
      if ('problem' in last) throw error;
      const aside = { problem: unusable(last.stored.position, error), stored: last.stored };
      return await this.#writeAlone(from, { messages: [aside], known });
    }
  }

  async #writeTogether(standings: readonly Standing[], { messages, known }: Batch): Promise<Standing[]> {
    const last = messages.at(-1);
    if (last === undefined) return [...standings];
    const { position } = last.stored;
    const reached = { position, logIdentity: identityOf(last.stored) };
    const steps = standings.map(({ model, checkpoint: from }) => {
      const keptFromMs = Math.max(from.keptFromMs, this.#keptFromMs(model, messages));
      return { model, from, to: { ...from, ...reached, messages: from.messages + messages.length, keptFromMs } };
    });
    const aside = await this.#put({ steps, messages, known });
    for (const [index, ones] of aside.entries()) {
      const standing = standings[index];
      if (standing !== undefined) for (const one of ones) this.#options.onSetAside?.(standing, one);
    }
    return steps.map(({ model, to }) => ({ model, checkpoint: to }));
  }

  async #put(batch: StepsTaken): Promise<SetAside[][]> {
    try {
      return await this.#options.database.acrossTenants((transaction) => put(transaction, batch));
    } catch (error) {
      batch.known.clear();
      throw error;
    }
  }

  #keptFromMs(model: ReadModel, messages: readonly Message[]): number {
    if (model.stream !== 'access') return 0;
    const { keptMs } = this.#options;
    return messages.reduce(
      (keptFromMs, message) =>
        'problem' in message || !('group' in message.entry)
          ? keptFromMs
          : Math.max(keptFromMs, model.keptFromMs(message.entry, keptMs)),
      0,
    );
  }
}

interface StepsTaken extends Batch {
  readonly steps: readonly Step<ReadModel>[];
}

/** @returns what each has set aside. */
async function put(transaction: CrossingTransaction, { steps, messages, known }: StepsTaken): Promise<SetAside[][]> {
  const ofConnections = steps.filter((step): step is Step<ConnectionModel> => step.model.stream === 'connections');
  if (ofConnections.length > 0) {
    const commits = messages as readonly ReadMessage<LogEntry>[];
    return await writeConnections(transaction, { steps: ofConnections, messages: commits, known });
  }
  const [ofAccess] = steps as readonly Step<AccessModel>[];
  const groups = messages as readonly ReadMessage<AccessEntry>[];
  return ofAccess === undefined ? [] : [await writeAccess(transaction, { step: ofAccess, messages: groups })];
}

function identityOf(message: Leaf): string {
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
