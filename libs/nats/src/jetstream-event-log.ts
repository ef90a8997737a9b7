import { newId, PosternError, streams, type StreamKey } from '@postern/contracts';
import {
  assertMessageSize,
  resolveAppend,
  resolveTogether,
  type Appended,
  type AppendPolicy,
  type AppendRequest,
  type BoundedReadRequest,
  type EventLog,
  type LastOptions,
  type LogBeginning,
  type LogSubscription,
  type StoredMessage,
  type SubscribeRequest,
} from '@postern/event-log';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { beginningOf } from './log-epochs.ts';
import { hasContact } from './leader-contact.ts';
import { OrderedFeed } from './ordered-feed.ts';
import { readByConsumer } from './read-by-consumer.ts';
import { lastOfEach, lastUntil, readBySubject, type SubjectSource } from './read-by-subject.ts';
import { batchHeaders, sendOnce, sendTogether } from './send.ts';
import { directMessage, leaderMessage } from './stored-message.ts';

export interface JetStreamEventLogOptions {
  readonly bus: Bus;
  readonly stream: StreamKey;
  /** How long one sending waits for its acknowledgement; the append goes on after it. */
  readonly ackTimeoutMs?: number | undefined;
  readonly policy?: AppendPolicy | undefined;
}

/** How long a question to a stream may take: shorter than a follower may be stale. */
const streamTimeoutMs = 1_500;
const notFound = 404;

type Query =
  | { readonly last_by_subj: string }
  | { readonly seq: number }
  | { readonly seq: number; readonly next_by_subj: string };

/** The event log on one JetStream stream. */
export class JetStreamEventLog implements EventLog {
  readonly #bus: Bus;
  readonly #stream: string;
  /** Where the stream's replicas answer. */
  readonly #directSubject: string;
  readonly #subjects: readonly string[];
  readonly #ackTimeoutMs: number;
  readonly #policy: AppendPolicy | undefined;
  #manager: { readonly of: object; readonly made: Promise<JetStreamManager> } | undefined;

  constructor({ bus, stream, ackTimeoutMs = 2_000, policy }: JetStreamEventLogOptions) {
    this.#bus = bus;
    this.#stream = streams[stream].name;
    this.#directSubject = `$JS.API.DIRECT.GET.${this.#stream}`;
    this.#subjects = streams[stream].subjects;
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#policy = policy;
  }

  async append(request: AppendRequest): Promise<Appended> {
    assertMessageSize(request);
    return await resolveAppend(request, {
      send: async () => {
        await this.#bus.turnEnd();
        return await sendOnce(this.#bus, { ...request, stream: this.#stream, ackTimeoutMs: this.#ackTimeoutMs });
      },
      standing: () => this.#standing(request),
      policy: this.#policy,
    });
  }

  async appendTogether(requests: readonly AppendRequest[]): Promise<number[]> {
    for (const [index, request] of requests.entries()) {
      const place = { batchId: newId('commit'), index, count: requests.length };
      assertMessageSize({ ...request, headers: { ...request.headers, ...batchHeaders(place) } });
    }
    const of = { stream: this.#stream, ackTimeoutMs: this.#ackTimeoutMs };
    return await resolveTogether(requests, {
      send: async () => {
        await this.#bus.turnEnd();
        return await sendTogether(
          this.#bus,
          requests.map((request) => ({ ...request, ...of })),
        );
      },
      standing: (request) => this.#standing(request),
      policy: this.#policy,
    });
  }

  async #standing({ subject, expectedPosition }: AppendRequest): Promise<StoredMessage | undefined> {
    return await this.#fromLeader({ seq: expectedPosition + 1, next_by_subj: subject }, 'request');
  }

  async last(
    subject: string,
    { fromLeader = false, untilPosition, newerThan }: LastOptions = {},
  ): Promise<StoredMessage | undefined> {
    if (untilPosition !== undefined) {
      return await lastUntil(this.#source(subject), { subject, untilPosition });
    }
    // That nothing stands is a short answer, and found without reading what is known.
    if (fromLeader && newerThan !== undefined && !(await this.#standsAfter(subject, newerThan))) return undefined;
    return fromLeader
      ? await this.#fromLeader({ last_by_subj: subject })
      : await this.#direct({ last_by_subj: subject });
  }

  async #standsAfter(subject: string, position: number): Promise<boolean> {
    return (await this.#fromLeader({ seq: position + 1, next_by_subj: subject })) !== undefined;
  }

  async lastOfEach(subjects: readonly string[], untilPosition: number): Promise<ReadonlyMap<string, StoredMessage>> {
    if (untilPosition < 1 || subjects.length === 0) return new Map();
    const atEnd = await this.#fromLeader({ seq: untilPosition });
    return await lastOfEach((subject) => this.#source(subject), { subjects, untilPosition, atEnd });
  }

  async at(position: number): Promise<StoredMessage | undefined> {
    return await this.#direct({ seq: position });
  }

  read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    const { filter, sinceMs, lastPerSubject } = request;
    const source = this.#source(filter);
    return /[*>]/.test(filter) || lastPerSubject === true || sinceMs !== undefined
      ? readByConsumer(source, request)
      : readBySubject(source, request);
  }

  async head(filter?: string): Promise<number> {
    if (filter === undefined || this.#coversAll(filter)) return await this.#lastPosition();
    const [message] = await Promise.all([this.#fromLeader({ last_by_subj: filter }), this.#lastPosition()]);
    return message?.position ?? 0;
  }

  async beginning(): Promise<LogBeginning> {
    try {
      return beginningOf(await (await this.#jsm()).streams.info(this.#stream));
    } catch (error) {
      throw logError(error);
    }
  }

  async subscribe(request: SubscribeRequest): Promise<LogSubscription> {
    const feed = new OrderedFeed(this.#bus, this.#stream, request);
    const last = () => this.#fromLeader({ last_by_subj: request.filter });
    const startPosition = await feed.start({ head: () => this.head(), last });
    return { startPosition, stop: () => feed.stop() };
  }

  #source(subject: string): SubjectSource {
    const next = (position: number) => this.#fromLeader({ seq: position, next_by_subj: subject });
    return { bus: this.#bus, stream: this.#stream, head: () => this.head(), next };
  }

  /** Every subject of the stream begins with one token: a filter `<token>.>` is all of them. */
  #coversAll(filter: string): boolean {
    return (
      filter === '>' || this.#subjects.every((subject) => filter === subject || filter === `${firstToken(subject)}.>`)
    );
  }

  async #lastPosition(): Promise<number> {
    try {
      const { state, cluster } = await (await this.#jsm()).streams.info(this.#stream);
      if (hasContact(cluster)) return state.last_seq;
      throw new PosternError('log.unavailable', `The leader of ${this.#stream} was cut off from its replicas.`);
    } catch (error) {
      throw logError(error);
    }
  }

  /** Any replica answers. @param by `request` waits for a connection, and gives up with it. */
  async #direct(query: Query, by: 'ask' | 'request' = 'ask'): Promise<StoredMessage | undefined> {
    await this.#bus.turnEnd();
    try {
      const answer = await this.#bus[by]({ ...this.#directQuestion(query), timeoutMs: streamTimeoutMs });
      const message = directMessage(answer);
      if (message !== undefined || answer.headers?.code === notFound) return message;
      throw new PosternError('log.unavailable', `The event log answered: ${answer.headers?.status}.`);
    } catch (error) {
      throw logError(error);
    }
  }

  /** A question that the server need not read as JSON, where there is one. */
  #directQuestion(query: Query): { readonly subject: string; readonly payload: string } {
    return 'last_by_subj' in query && !/[*>]/.test(query.last_by_subj)
      ? { subject: `${this.#directSubject}.${query.last_by_subj}`, payload: '' }
      : { subject: this.#directSubject, payload: JSON.stringify(query) };
  }

  /**
   * What stands, and not what a replica has of it. A server that is alone has no replicas: its direct answer is the
   * leader's, and costs both of us half.
   *
   * @param by `request` waits for a connection, and gives up with it.
   */
  async #fromLeader(query: Query, by: 'ask' | 'request' = 'ask'): Promise<StoredMessage | undefined> {
    if (this.#bus.isAlone) return await this.#direct(query, by);
    await this.#bus.turnEnd();
    try {
      const subject = `$JS.API.STREAM.MSG.GET.${this.#stream}`;
      const payload = JSON.stringify(query);
      return leaderMessage(await this.#bus[by]({ subject, payload, timeoutMs: streamTimeoutMs }));
    } catch (error) {
      throw logError(error);
    }
  }

  #jsm(): Promise<JetStreamManager> {
    const { connection } = this.#bus;
    if (this.#manager?.of !== connection) {
      const made = jetstreamManager(connection, { checkAPI: false, timeout: streamTimeoutMs });
      this.#manager = { of: connection, made };
    }
    return this.#manager.made;
  }
}

function firstToken(subject: string): string {
  return subject.split('.')[0] ?? subject;
}
