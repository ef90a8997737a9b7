import { setTimeout as delay } from 'node:timers/promises';

import type { StoredMessage, SubscribeRequest } from '@postern/event-log';
import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { orderedConsumer, pullOptions } from './ordered-options.ts';
import { deliveredMessage } from './stored-message.ts';

const reopenDelayMsMax = 2_000;

/**
 * An ordered feed that lives as long as its owner wants it.
 *
 * The client's ordered consumer closes gaps by itself while connected; a reconnect may lose the tail without another
 * message to show the gap, so we begin anew after the last message we saw.
 */
export class OrderedFeed {
  readonly #bus: Bus;
  readonly #stream: string;
  readonly #request: SubscribeRequest;
  #cursor = 0;
  #generation = 0;
  #stopped = false;
  #consumer: Consumer | undefined;
  #messages: ConsumerMessages | undefined;
  #stopListening: () => void = () => undefined;

  constructor(bus: Bus, stream: string, request: SubscribeRequest) {
    this.#bus = bus;
    this.#stream = stream;
    this.#request = request;
  }

  /**
   * A consumer says how much it will deliver as the replica knows it that it runs on. One that is behind says nothing, and
   * delivers it later: so the leader is asked whether that can be.
   *
   * @param ask for the leader's words: where the log ends, and the last message that the feed is about
   * @returns the position up to which nothing will be delivered.
   */
  async start(ask: { head(): Promise<number>; last(): Promise<StoredMessage | undefined> }): Promise<number> {
    const headPosition = await ask.head();
    const pending = await this.#open(this.#request);
    this.#stopListening = this.#bus.onStatus(({ type }) => {
      if (type === 'reconnected') this.#reopen(this.#generation);
      else if (type === 'renewed') this.#moveOver();
    });
    const { fromPosition = 1, sinceMs, lastPerSubject } = this.#request;
    const skipped = sinceMs === undefined && lastPerSubject !== true ? Math.min(fromPosition - 1, headPosition) : 0;
    const isAtHead = pending === 0 && !this.#wants(await ask.last());
    const startPosition = isAtHead ? headPosition : skipped;
    this.#cursor = Math.max(this.#cursor, startPosition);
    return startPosition;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#generation += 1;
    this.#stopListening();
    await this.#close();
  }

  #wants(message: StoredMessage | undefined): boolean {
    const { fromPosition = 1, sinceMs } = this.#request;
    return message !== undefined && message.position >= fromPosition && message.timeMs >= (sinceMs ?? 0);
  }

  async #open(
    request: Pick<SubscribeRequest, 'filter' | 'fromPosition' | 'sinceMs' | 'lastPerSubject'>,
  ): Promise<number> {
    const generation = this.#generation;
    try {
      const consumer = await orderedConsumer(this.#bus.connection, this.#stream, request);
      const { num_pending: pending } = await consumer.info(true);
      if (generation !== this.#generation) {
        void consumer.delete().catch(() => false);
        return pending;
      }
      this.#consumer = consumer;
      this.#messages = await consumer.consume({
        ...pullOptions,
        callback: (message) => this.#take(message, generation),
      });
      void this.#watch(this.#messages, generation);
      return pending;
    } catch (error) {
      throw logError(error);
    }
  }

  #take(message: JsMsg, generation: number): void {
    const { streamSequence: position } = message.info;
    if (generation !== this.#generation || position <= this.#cursor) return;
    this.#cursor = position;
    this.#request.onMessage(deliveredMessage(message));
  }

  async #watch(messages: ConsumerMessages, generation: number): Promise<void> {
    void messages.closed().then(
      () => this.#reopen(generation),
      () => this.#reopen(generation),
    );
    for await (const { type } of messages.status()) {
      if (generation === this.#generation && type === 'ordered_consumer_recreated') this.#request.onReset();
    }
  }

  #reopen(generation: number): void {
    if (this.#stopped || generation !== this.#generation) return;
    this.#generation += 1;
    void this.#close();
    this.#request.onReset();
    void this.#openUntilItWorks(this.#generation);
  }

  /** To the bus's new connection, after the last message we saw: the old one was whole until now, nothing is reset. */
  #moveOver(): void {
    if (this.#stopped) return;
    this.#generation += 1;
    void this.#close();
    void this.#openUntilItWorks(this.#generation);
  }

  async #openUntilItWorks(generation: number): Promise<void> {
    for (let attempt = 0; !this.#stopped && generation === this.#generation; attempt += 1) {
      try {
        await this.#open({ filter: this.#request.filter, fromPosition: this.#cursor + 1 });
        return;
      } catch {
        await delay(Math.min(reopenDelayMsMax, 50 * 2 ** attempt), undefined, { ref: false });
      }
    }
  }

  async #close(): Promise<void> {
    const consumer = this.#consumer;
    const messages = this.#messages;
    this.#consumer = undefined;
    this.#messages = undefined;
    await messages?.close();
    if (this.#bus.isConnected) await consumer?.delete().catch(() => false);
  }
}
