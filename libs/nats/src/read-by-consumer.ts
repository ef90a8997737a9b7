import { PosternError } from '@postern/contracts';
import type { BoundedReadRequest, StoredMessage } from '@postern/event-log';
import type { Consumer, ConsumerMessages, JsMsg } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import { orderedConsumer, readOptions } from './ordered-options.ts';
import { rangeOf, type ReadSource } from './read-range.ts';
import { deliveredMessage } from './stored-message.ts';

/**
 * Reads many aggregates in order up to a position, through an ordered consumer. Where the server falls silent (it may take
 * seconds over a million subjects, or be started again) the reading goes on behind what it has, as long as that brings it on.
 *
 * @throws {PosternError} `log.unavailable`
 */
export function readByConsumer(source: ReadSource, request: BoundedReadRequest): AsyncIterable<StoredMessage> {
  return { [Symbol.asyncIterator]: () => new ReadingByConsumer(source, request) };
}

type Step = IteratorResult<StoredMessage, undefined>;

/** What one consumer delivers. */
interface Delivery {
  readonly consumer: Consumer;
  readonly messages: ConsumerMessages;
  readonly iterator: AsyncIterator<JsMsg>;
}

const ended: Step = { done: true, value: undefined };

/** No generator: that waits twice more for each message, which was a fourteenth of the time to fold a log. */
class ReadingByConsumer implements AsyncIterator<StoredMessage, undefined> {
  readonly #source: ReadSource;
  readonly #request: BoundedReadRequest;
  #range: { readonly fromPosition: number; readonly endPosition: number } | undefined;
  #delivery: Delivery | undefined;
  #reached = 0;
  /** Where it stood when this consumer was made. */
  #reachedBefore = 0;
  #isOver = false;

  constructor(source: ReadSource, request: BoundedReadRequest) {
    this.#source = source;
    this.#request = request;
  }

  next(): Promise<Step> {
    const delivery = this.#delivery;
    if (this.#isOver || delivery === undefined) return this.#turn();
    return delivery.iterator.next().then(this.#taken, this.#failed);
  }

  async return(): Promise<Step> {
    this.#isOver = true;
    await this.#close();
    return ended;
  }

  readonly #taken = (delivered: IteratorResult<JsMsg>): Step | Promise<Step> => {
    if (delivered.done === true) return this.#fellSilent();
    const message = delivered.value;
    const { streamSequence: position, pending } = message.info;
    const { endPosition = 0 } = this.#range ?? {};
    this.#isOver ||= position >= endPosition || pending === 0;
    // Whoever reads from a time on, or the last of each subject, begins anew.
    if (position > endPosition || position <= this.#reached) return this.next();
    this.#reached = position;
    return { done: false, value: deliveredMessage(message) };
  };

  readonly #failed = async (error: unknown): Promise<never> => {
    this.#isOver = true;
    await this.#close();
    throw error;
  };

  async #turn(): Promise<Step> {
    if (this.#isOver) return await this.return();
    try {
      this.#range ??= await rangeOf(this.#source, this.#request);
      await this.#begin(this.#range);
    } catch (error) {
      return await this.#failed(error);
    }
    return await this.next();
  }

  async #begin({ fromPosition, endPosition }: { readonly fromPosition: number; readonly endPosition: number }) {
    if (endPosition < fromPosition) {
      this.#isOver = true;
      return;
    }
    const { bus, stream } = this.#source;
    const rest = { ...this.#request, fromPosition: this.#reached === 0 ? fromPosition : this.#reached + 1 };
    this.#reachedBefore = this.#reached;
    const consumer = await orderedConsumer(bus.connection, stream, rest).catch((error: unknown) => {
      throw logError(error);
    });
    try {
      const { num_pending: pending } = await consumer.info(true);
      this.#isOver ||= pending === 0;
      if (this.#isOver) return void deleteQuietly(consumer);
      const messages = await consumer.consume(readOptions);
      closeWhenSilent(messages);
      this.#delivery = { consumer, messages, iterator: messages[Symbol.asyncIterator]() };
    } catch (error) {
      void deleteQuietly(consumer);
      throw error;
    }
  }

  /** On it goes behind what there is, if there is anything more than before. */
  async #fellSilent(): Promise<Step> {
    await this.#close();
    if (!this.#isOver && this.#reached === this.#reachedBefore) {
      return await this.#failed(new PosternError('log.unavailable', 'The event log stopped answering.'));
    }
    return await this.next();
  }

  async #close(): Promise<void> {
    const delivery = this.#delivery;
    this.#delivery = undefined;
    if (delivery === undefined) return;
    const { consumer, messages, iterator } = delivery;
    // Its end passes through the iterator, which has to be there for it, or to have left.
    await Promise.all([iterator.return?.(), messages.close()]);
    void deleteQuietly(consumer);
  }
}

/** After two heartbeats that did not come. */
function closeWhenSilent(messages: ConsumerMessages): void {
  void (async () => {
    for await (const { type } of messages.status()) {
      if (type === 'heartbeats_missed') await messages.close();
    }
  })();
}

async function deleteQuietly(consumer: Consumer): Promise<void> {
  await consumer.delete().catch(() => false);
}
