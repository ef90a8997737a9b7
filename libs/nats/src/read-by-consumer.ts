import { PosternError } from '@postern/contracts';
import type { BoundedReadRequest, StoredMessage } from '@postern/event-log';
import type { Consumer, ConsumerMessages } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import { orderedConsumer, readOptions } from './ordered-options.ts';
import { rangeOf, type ReadSource } from './read-range.ts';
import { deliveredMessage } from './stored-message.ts';

/** Reads many aggregates in order up to a position, through an ordered consumer. */
export async function* readByConsumer(source: ReadSource, request: BoundedReadRequest): AsyncIterable<StoredMessage> {
  const { fromPosition, endPosition } = await rangeOf(source, request);
  if (endPosition < fromPosition) return;
  const { bus, stream } = source;
  const consumer = await orderedConsumer(bus.connection, stream, request).catch((error: unknown) => {
    throw logError(error);
  });
  let messages: ConsumerMessages | undefined;
  try {
    const { num_pending: pending } = await consumer.info(true);
    if (pending === 0) return;
    messages = await consumer.consume(readOptions);
    const stalled = stopWhenStalled(messages);
    for await (const message of messages) {
      const { streamSequence: position, pending: left } = message.info;
      if (position > endPosition) return;
      yield deliveredMessage(message);
      if (position === endPosition || left === 0) return;
    }
    if (stalled()) throw new PosternError('log.unavailable', 'The event log stopped answering.');
  } finally {
    await messages?.close();
    void deleteQuietly(consumer);
  }
}

/** A reading that hears nothing for two heartbeats ends, rather than hanging. */
function stopWhenStalled(messages: ConsumerMessages): () => boolean {
  let stalled = false;
  void (async () => {
    for await (const { type } of messages.status()) {
      if (type !== 'heartbeats_missed') continue;
      stalled = true;
      await messages.close();
    }
  })();
  return () => stalled;
}

async function deleteQuietly(consumer: Consumer): Promise<void> {
  await consumer.delete().catch(() => false);
}
