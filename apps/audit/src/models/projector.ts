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

import { generationsOf, isSuperseded, type Checkpoint, type GenerationRole, type SetAside } from './checkpoints.ts';
import type { AccessModel, ConnectionModel, ReadModel } from './model.ts';
import { modelLimits } from './model-limits.ts';
import {
  foldConnections,
  KnownRows,
  writeAccess,
  writeConnections,
  type FoldedConnections,
  type FoldOptions,
  type ReadMessage,
  type Step,
} from './write-batch.ts';

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
  /** Messages that one transaction takes; `modelLimits` says how many when absent. */
  readonly batchMessagesMax?: number | undefined;
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

interface Batch {
  readonly messages: readonly StoredMessage[];
  /** Of the one message that no row comes of. */
  readonly aside?: SetAside;
}

/** What a batch comes to, by its stream. */
type Prepared =
  | ({ readonly stream: 'connections' } & FoldedConnections)
  | { readonly stream: 'access'; readonly messages: readonly ReadMessage<AccessEntry>[] };

/** Prepared on what was known at that age, for just these models. */
interface Ahead {
  readonly prepared: Prepared;
  readonly age: number;
  readonly generations: string;
}

/** A walk's own. */
interface Walking {
  readonly known: KnownRows;
  readonly onTenant: WalkOptions['onTenant'];
}

/**
 * Turns a stream into the rows of its models, batch by batch: rows and checkpoint in one transaction. While one batch is
 * being written the next two are folded, so that neither folding nor writing waits for the end of the other; what is in
 * memory is the rows of three of them, however long the log is. What was folded on rows that then were not written is folded
 * again.
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
    const known = new KnownRows();
    let { age } = known;
    const walking: Walking = { known, onTenant: options.onTenant };
    let walked: Walked = { standings: together, failed: [] };
    let [before, writing] = [Promise.resolve(walked), Promise.resolve(walked)];
    let batch: StoredMessage[] = [];
    let bytes = 0;
    const flush = async () => {
      const messages = batch;
      batch = [];
      bytes = 0;
      // What was folded ahead counted for nothing: on goes it from what was written.
      if (known.age !== age) walked = await writing;
      ({ age } = known);
      const ahead = await this.#prepareAhead(walked.standings, { messages }, walking);
      walked = await before;
      options.signal?.throwIfAborted();
      before = writing;
      writing = writing.then(async (reached) => {
        options.signal?.throwIfAborted();
        return await this.#write(reached, { messages }, { ...walking, ahead });
      });
      // It is awaited with a later batch; until then its failure is nobody's unhandled one.
      writing.catch(() => undefined);
    };
    const { untilPosition } = options;
    const { stream, log, batchMessagesMax = modelLimits.batchMessagesMax } = this.#options;
    const filter = stream === 'access' ? subjects.allAccess : subjects.allConnections;
    const range = { filter, fromPosition: (together[0]?.checkpoint.position ?? 0) + 1, untilPosition };
    try {
      for await (const stored of log.read(range)) {
        batch.push(stored);
        bytes += stored.payload.byteLength;
        if (batch.length >= batchMessagesMax || bytes >= modelLimits.batchBytesMax) await flush();
        if (walked.standings.length === 0) break;
      }
      if (batch.length > 0) await flush();
    } finally {
      await writing.catch(() => undefined);
    }
    return await writing;
  }

  /** Undefined where it does not work: then that is found out again when it is this batch's turn. */
  async #prepareAhead(standings: readonly Standing[], batch: Batch, walking: Walking): Promise<Ahead | undefined> {
    const { age } = walking.known;
    try {
      const prepared = await this.#prepare(standings, batch, walking);
      return { prepared, age, generations: generationsIn(standings) };
    } catch {
      walking.known.forget();
      return undefined;
    }
  }

  async #prepare(standings: readonly Standing[], { messages, aside }: Batch, walking: Walking): Promise<Prepared> {
    const { stream } = this.#options;
    const { known, onTenant } = walking;
    const read = <E extends Entry>(message: StoredMessage) => {
      const one = this.#read(message);
      if (onTenant === undefined) return one as ReadMessage<E>;
      const told = (given: ReadMessage<Entry>) => {
        tenantsOf(given).forEach(onTenant);
        return given as ReadMessage<E>;
      };
      return one instanceof Promise ? one.then(told) : told(one);
    };
    if (stream === 'access') {
      if (aside !== undefined) return { stream, messages: [{ problem: aside }] };
      const groups: ReadMessage<AccessEntry>[] = [];
      for (const message of messages) groups.push(await read<AccessEntry>(message));
      return { stream, messages: groups };
    }
    if (aside !== undefined) return { stream, puts: new Map(), aside: standings.map(() => [aside]) };
    const models = standings.flatMap(({ model, checkpoint: { generation } }) =>
      model.stream === 'connections' ? [{ model, generation }] : [],
    );
    const ask: FoldOptions['ask'] = async (queries) =>
      await this.#options.database.acrossTenants(async ({ inTenant }) => {
        const asked = [...queries].map(async ([tenantId, ones]) => [tenantId, await inTenant(tenantId, ones)] as const);
        return new Map(await Promise.all(asked));
      });
    return { stream, ...(await foldConnections(messages, { models, known, read: read<LogEntry>, ask })) };
  }

  /** At once, but for what has to be looked up. */
  #read(message: StoredMessage): ReadMessage<Entry> | Promise<ReadMessage<Entry>> {
    const { stream, reader, accessReader } = this.#options;
    const { position } = message;
    const read = stream === 'access' ? accessReader.read(message) : reader.read(message);
    if (read.kind === 'access') return { entry: read.entry, state: undefined };
    if (read.kind !== 'commit') {
      const { kind, reason } = read;
      return { problem: { position, kind, reason } };
    }
    const { entry } = read;
    const { commit } = entry;
    if (commit.stateVersion === connectionEvolver.stateVersion) return { entry, state: commit.state as Connection };
    return this.#withStateOf(entry);
  }

  /** What an older release carried is folded anew. */
  async #withStateOf(entry: LogEntry): Promise<ReadMessage<LogEntry>> {
    const { commit, position } = entry;
    try {
      const ref = { tenantId: commit.tenantId, id: commit.aggregateId };
      return { entry, state: (await this.#repository.at(ref, position)).state };
    } catch (error) {
      if (isPosternError(error) && error.row.retry === 'later') throw error;
      return { problem: unusable(position, error) };
    }
  }

  /** In one transaction for all; where that does not go through, each by itself, so that nobody waits for another. */
  async #write({ standings, failed }: Walked, batch: Batch, { known, ahead, onTenant }: Written): Promise<Walked> {
    if (standings.length === 0) return { standings, failed };
    const isOfNow = ahead?.age === known.age && ahead.generations === generationsIn(standings);
    try {
      const afresh = { known: new KnownRows(), onTenant };
      const prepared = isOfNow ? ahead.prepared : await this.#prepare(standings, batch, afresh);
      const reached = await this.#writeTogether(standings, batch, prepared);
      if (!isOfNow) known.forget();
      return { standings: reached, failed };
    } catch {
      // Whoever it is finds out below. Others were folded meanwhile, on rows that are not written.
      known.forget();
    }
    const reached: Standing[] = [];
    const left = [...failed];
    for (const standing of standings) {
      const { model } = standing;
      try {
        reached.push(await this.#writeAlone(standing, batch, onTenant));
      } catch (error) {
        left.push({ model, error });
      }
    }
    known.forget();
    return { standings: reached, failed: left };
  }

  /** Where the tables refuse a batch its messages are tried in halves, until the one is found that no row comes of. */
  async #writeAlone(from: Standing, batch: Batch, onTenant: WalkOptions['onTenant']): Promise<Standing> {
    const { messages, aside } = batch;
    try {
      const prepared = await this.#prepare([from], batch, { known: new KnownRows(), onTenant });
      const [to = from] = await this.#writeTogether([from], batch, prepared);
      return to;
    } catch (error) {
      const last = messages.at(-1);
      if (last === undefined || aside !== undefined || !isOfAMessage(error)) throw error;
      if (messages.length > 1) {
        const half = Math.ceil(messages.length / 2);
        const middle = await this.#writeAlone(from, { messages: messages.slice(0, half) }, onTenant);
        return await this.#writeAlone(middle, { messages: messages.slice(half) }, onTenant);
      }
      return await this.#writeAlone(from, { messages, aside: unusable(last.position, error) }, onTenant);
    }
  }

  async #writeTogether(standings: readonly Standing[], { messages }: Batch, prepared: Prepared): Promise<Standing[]> {
    const last = messages.at(-1);
    if (last === undefined) return [...standings];
    const reached = { position: last.position, logIdentity: identityOf(last) };
    const steps = standings.map(({ model, checkpoint: from }) => {
      const keptFromMs = Math.max(from.keptFromMs, this.#keptFromMs(model, prepared));
      return { model, from, to: { ...from, ...reached, messages: from.messages + messages.length, keptFromMs } };
    });
    const aside = await this.#put(steps, prepared);
    for (const [index, ones] of aside.entries()) {
      const standing = standings[index];
      if (standing !== undefined) for (const one of ones) this.#options.onSetAside?.(standing, one);
    }
    return steps.map(({ model, to }) => ({ model, checkpoint: to }));
  }

  async #put(steps: readonly Step<ReadModel>[], prepared: Prepared): Promise<SetAside[][]> {
    try {
      return await this.#options.database.acrossTenants((transaction) => put(transaction, steps, prepared));
    } catch (error) {
      if (!isSuperseded(error)) throw error;
      const names = steps.map(({ model }) => model.name).join(', ');
      throw new PosternError('audit.projection_superseded', `Somebody else has gone on with ${names}.`);
    }
  }

  #keptFromMs(model: ReadModel, prepared: Prepared): number {
    if (model.stream !== 'access' || prepared.stream !== 'access') return 0;
    const { keptMs } = this.#options;
    return prepared.messages.reduce(
      (keptFromMs, message) =>
        'problem' in message ? keptFromMs : Math.max(keptFromMs, model.keptFromMs(message.entry, keptMs)),
      0,
    );
  }
}

interface Written extends Walking {
  readonly ahead: Ahead | undefined;
}

/** @returns what each has set aside. */
async function put(
  transaction: CrossingTransaction,
  steps: readonly Step<ReadModel>[],
  prepared: Prepared,
): Promise<SetAside[][]> {
  if (prepared.stream === 'connections') {
    return writeConnections(transaction, { steps: steps as readonly Step<ConnectionModel>[], folded: prepared });
  }
  const [ofAccess] = steps as readonly Step<AccessModel>[];
  if (ofAccess === undefined) return [];
  return [await writeAccess(transaction, { step: ofAccess, messages: prepared.messages })];
}

const generationsIn = (standings: readonly Standing[]) =>
  standings.map(({ model, checkpoint }) => `${model.name} ${checkpoint.generation}`).join();

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

function tenantsOf(message: ReadMessage<Entry>): string[] {
  if ('problem' in message) return [];
  const { entry } = message;
  return 'commit' in entry ? [entry.commit.tenantId] : entry.group.records.map(({ tenantId }) => tenantId);
}
