import { PosternError } from '@postern/contracts';
import {
  MemoryEventLog,
  retryDelayMs,
  type Appended,
  type AppendRequest,
  type BoundedReadRequest,
  type EventLog,
  type LastOptions,
  type LogBeginning,
  type LogSubscription,
  type StoredMessage,
} from '@postern/event-log';

import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

const staleMsMax = 3_000;

/** The log as its server has it: the project's own log in memory, on virtual time. */
export class ServerLog extends MemoryEventLog {
  readonly stored: StoredMessage[] = [];
  #onStored: ((message: StoredMessage) => boolean)[] = [];
  readonly #nowMs: () => number;

  constructor({ timeline, random }: World) {
    super({
      nowMs: () => timeline.nowMs,
      pause: (policy, attempt) => timeline.sleep(retryDelayMs(policy, attempt, random.next())),
    });
    this.#nowMs = () => timeline.nowMs;
  }

  /** Told of every message as it is stored, until it says that it has heard enough. */
  onStored(run: (message: StoredMessage) => boolean): void {
    this.#onStored.push(run);
  }

  override put(message: Pick<StoredMessage, 'subject' | 'payload' | 'headers'>): number {
    const position = super.put(message);
    const stored = { ...message, position, timeMs: this.#nowMs() };
    this.stored.push(stored);
    this.#onStored = this.#onStored.filter((run) => run(stored));
    return position;
  }

  /** What a replica has that lags so far. */
  positionBefore(ms: number): number {
    const untilMs = this.#nowMs() - ms;
    return this.stored.findLastIndex(({ timeMs }) => timeMs <= untilMs) + 1;
  }
}

/** The log as one process reaches it: over a network, with what a network does. */
export class ProcessLog implements EventLog {
  readonly #server: ServerLog;
  readonly #process: SimProcess;

  constructor(server: ServerLog, process: SimProcess) {
    this.#server = server;
    this.#process = process;
  }

  async append(request: AppendRequest): Promise<Appended> {
    const { world } = this.#process;
    return await this.#process.reach('append', async () => {
      if (!world.strikes('log')) return await this.#server.append(request);
      switch (world.random.pick(['message', 'acknowledgement', 'unknown', 'unavailable'])) {
        case 'message':
          this.#server.injectFaults('lose_message');
          return await this.#server.append(request);
        case 'acknowledgement':
          this.#server.injectFaults('lose_acknowledgement');
          return await this.#server.append(request);
        case 'unknown':
          await this.#server.append(request);
          throw new PosternError('log.outcome_unknown', 'No acknowledgement came.');
        default:
          throw new PosternError('log.unavailable', 'The log takes no appends.');
      }
    });
  }

  appendTogether(): Promise<number[]> {
    throw new PosternError('service.internal', 'Nobody decides about several connections in a simulation.');
  }

  async last(subject: string, options: LastOptions = {}): Promise<StoredMessage | undefined> {
    const { world } = this.#process;
    return await this.#read(() => {
      const fromReplica = options.fromLeader !== true && options.untilPosition === undefined;
      const isStale = fromReplica && world.strikes('staleRead');
      const untilPosition = isStale
        ? this.#server.positionBefore(world.random.between(1, staleMsMax))
        : options.untilPosition;
      return this.#server.last(subject, { untilPosition, newerThan: options.newerThan });
    });
  }

  async lastOfEach(subjects: readonly string[], untilPosition: number): Promise<ReadonlyMap<string, StoredMessage>> {
    return await this.#read(() => this.#server.lastOfEach(subjects, untilPosition));
  }

  async beginning(): Promise<LogBeginning> {
    return await this.#read(() => this.#server.beginning());
  }

  async at(position: number): Promise<StoredMessage | undefined> {
    return await this.#read(() => this.#server.at(position));
  }

  async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    yield* await this.#read(async () => {
      const messages: StoredMessage[] = [];
      for await (const message of this.#server.read(request)) messages.push(message);
      return messages;
    });
  }

  async head(filter?: string): Promise<number> {
    return await this.#read(() => this.#server.head(filter));
  }

  /** Processes follow by `SimFeed`, whose delays come from the seed. */
  subscribe(): Promise<LogSubscription> {
    throw new PosternError('service.internal', 'Nobody subscribes in a simulation.');
  }

  async #read<T>(effect: () => Promise<T>): Promise<T> {
    const { world } = this.#process;
    return await this.#process.reach('read', () => {
      if (world.strikes('log')) throw new PosternError('log.unavailable', 'The log does not answer.');
      return effect();
    });
  }
}
