import { setTimeout as delay } from 'node:timers/promises';

import { consumers, toPosternError, type ConsumerKey, type PosternError } from '@postern/contracts';
import { jetstream, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream';

import { acknowledge, acknowledgeOnce, done, putBack } from './acknowledge.ts';
import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { PutBacks } from './put-backs.ts';
import { headerRecord } from './stored-message.ts';

/** A message to be worked on; whoever handles it says what becomes of it, once. */
export interface WorkMessage {
  readonly subject: string;
  readonly position: number;
  readonly timeMs: number;
  readonly payload: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** 1 the first time. */
  readonly deliveries: number;
  json<T = unknown>(): T;
  /** More time, before the acknowledgement is overdue. */
  working(): void;
  /** Done; resolves when the server knows, or when it was told, as the worker's `confirms` says. */
  ack(): Promise<void>;
  /** Deliver it again after a while. */
  nak(delayMs?: number): void;
  /** The same where many are put back: told together with others, some time later ({@link PutBacks}), and not confirmed. */
  passOver(delayMs: number): void;
  /** Never deliver it again. */
  term(reason: string): void;
}

export interface JetStreamWorkerOptions {
  readonly bus: Bus;
  readonly consumer: ConsumerKey;
  /** How many messages are worked on at a time. */
  readonly concurrencyMax: number;
  /**
   * How many are asked for at a time; as many as are worked on when absent. More is for a handler that settles most of
   * them at once, since those that wait in memory count as delivered.
   */
  readonly prefetchMax?: number | undefined;
  /**
   * Looks at subject and bytes before anything is made of a message, and tells in how many milliseconds it shall come again. It
   * is put back together with others then, some time later ({@link PutBacks}), and nobody waits until the server knows: one
   * whose word is lost comes again after its time.
   */
  readonly passOver?: ((subject: string, payload: Uint8Array) => number | undefined) | undefined;
  /**
   * Looks at the bytes before anything is made of a message: where there is certainly nothing to do it is acknowledged, and
   * nobody waits until the server knows.
   */
  readonly skips?: ((payload: Uint8Array) => boolean) | undefined;
  /**
   * When it returns without having settled the message, the message is acknowledged; when it throws, the error's row
   * decides (ack, nak with delay, term).
   */
  readonly handle: (message: WorkMessage) => Promise<void>;
  readonly onError?: ((error: PosternError, message?: WorkMessage) => void) | undefined;
  /**
   * Does `ack` wait until the server knows? It does by default. Where it does not, one that is lost brings the message
   * again after its time: for handlers to which a second time means nothing, and that comes often.
   */
  readonly confirms?: boolean | undefined;
  /** How long a message rests after an error that may pass. */
  readonly nakDelayMs?: number | undefined;
}

const reopenDelayMs = 250;
const questionTimeoutMs = 1_500;
/** What is given back rests for a moment, or it would come to whoever is about to leave. */
const givenBackMs = 100;
/** Of a fetching that does not end by itself. */
const leaveTurnsMax = 1_000;

/** Works off a durable consumer that the provisioner made. */
export class JetStreamWorker {
  readonly #options: JetStreamWorkerOptions;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #putBacks: PutBacks;
  #messages: ConsumerMessages | undefined;
  #running: Promise<void> | undefined;
  #stopListening: () => void = () => undefined;
  #stopped = false;
  #isLeaving = false;
  /** Of who waits until less is in flight. */
  #wake: () => void = () => undefined;

  constructor(options: JetStreamWorkerOptions) {
    this.#options = options;
    this.#putBacks = new PutBacks(options.bus);
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Resolves once the consumer was found. @throws {PosternError} `log.unavailable`, `auth.forbidden` */
  async start(): Promise<void> {
    this.#messages = await this.#open();
    // What is in hand is acknowledged on either connection; what comes next is fetched on the new one.
    this.#stopListening = this.#options.bus.onStatus(({ type }) => {
      if (type === 'renewed') void this.#leave();
    });
    this.#running = this.#run();
  }

  /** Takes no more messages, gives back what was only fetched, then finishes those it has. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopListening();
    await this.#leave();
    await this.#running;
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
    this.#putBacks.tell();
    // What was acknowledged last leaves with this turn.
    await this.#options.bus.turnEnd();
  }

  /** Ends the fetching. What waits here would come to somebody else only when its acknowledgement is overdue. */
  async #leave(): Promise<void> {
    // Said first: a fetching that only begins meanwhile is ended as soon as it is there.
    this.#isLeaving = true;
    const messages = this.#messages;
    if (messages === undefined) return;
    this.#wake();
    for (let turn = 0; messages.getPending() > 0 && turn < leaveTurnsMax; turn += 1) await this.#options.bus.turnEnd();
    await messages.close();
    this.#putBacks.tell();
  }

  async #open(): Promise<ConsumerMessages> {
    const { stream, name } = consumers[this.#options.consumer];
    try {
      const consumer = await jetstream(this.#options.bus.connection, { timeout: questionTimeoutMs }).consumers.get(
        stream,
        name,
      );
      return await consumer.consume({
        max_messages: this.#options.prefetchMax ?? this.#options.concurrencyMax,
        expires: 10_000,
        idle_heartbeat: 1_000,
      });
    } catch (error) {
      throw logError(error);
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopped && !this.#options.bus.connection.isClosed()) {
      try {
        this.#messages ??= await this.#open();
        if (this.#isLeaving) void this.#leave();
        for await (const message of this.#messages) await this.#take(message);
      } catch (error) {
        this.#options.onError?.(logError(error));
      }
      this.#messages = undefined;
      this.#isLeaving = false;
      if (!this.#stopped) await delay(reopenDelayMs, undefined, { ref: false });
    }
  }

  async #take(message: JsMsg): Promise<void> {
    const delayMs = this.#isLeaving ? givenBackMs : this.#options.passOver?.(message.subject, message.data);
    if (delayMs !== undefined) return this.#putBacks.add(replyOf(message), delayMs);
    if (this.#options.skips?.(message.data) === true)
      return acknowledgeThisTurn(this.#options.bus, replyOf(message), done);
    const working = this.#work(message).finally(() => {
      this.#inFlight.delete(working);
      this.#wake();
    });
    this.#inFlight.add(working);
    while (!this.#isLeaving && this.#inFlight.size >= this.#options.concurrencyMax) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Never rejects. */
  async #work(raw: JsMsg): Promise<void> {
    const { message, settled } = workMessage(this.#options, this.#putBacks, raw);
    try {
      await this.#options.handle(message);
      if (!settled()) await message.ack();
    } catch (thrown) {
      const error = toPosternError(thrown);
      this.#options.onError?.(error, message);
      if (!settled()) this.#settle(message, error);
    }
  }

  #settle(message: WorkMessage, error: PosternError): void {
    const { delivery } = error.row;
    if (delivery === 'nak') message.nak(this.#options.nakDelayMs ?? 1_000);
    else if (delivery === 'term') message.term(error.code);
    else void message.ack().catch(() => undefined);
  }
}

/** Says it once, together with what else leaves in this turn; nobody waits until the server knows. */
function acknowledgeThisTurn(bus: Bus, reply: string, word: string): void {
  void bus.turnEnd().then(() => acknowledgeOnce(bus, reply, word));
}

/** The client's type does not know where a message wants its acknowledgement. */
function replyOf(raw: JsMsg): string {
  return (raw as JsMsg & { readonly reply: string }).reply;
}

function workMessage(
  { bus, confirms = true }: Pick<JetStreamWorkerOptions, 'bus' | 'confirms'>,
  putBacks: PutBacks,
  raw: JsMsg,
): { message: WorkMessage; settled: () => boolean } {
  const reply = replyOf(raw);
  let settled = false;
  const once = (settle: () => void) => {
    if (settled) return;
    settled = true;
    settle();
  };
  const message: WorkMessage = {
    subject: raw.subject,
    position: raw.seq,
    timeMs: Math.floor(raw.info.timestampNanos / 1e6),
    payload: raw.data,
    headers: headerRecord(raw.headers),
    deliveries: raw.info.deliveryCount,
    json: <T>() => raw.json<T>(),
    working: () => raw.working(),
    ack: async () => {
      if (settled) return;
      settled = true;
      if (confirms) await acknowledge(bus, reply, done);
      else acknowledgeThisTurn(bus, reply, done);
    },
    // One that never arrives: the wait for the acknowledgement ends, and it is delivered again.
    nak: (delayMs) => once(() => void acknowledge(bus, reply, putBack(delayMs)).catch(() => undefined)),
    passOver: (delayMs) => once(() => putBacks.add(reply, delayMs)),
    term: (reason) => once(() => raw.term(reason)),
  };
  return { message, settled: () => settled };
}
