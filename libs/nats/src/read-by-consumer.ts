import { PosternError } from '@postern/contracts';
import type { BoundedReadRequest, ReadRequest, StoredMessage } from '@postern/event-log';
import type { Consumer, ConsumerMessages } from '@nats-io/jetstream';

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
export async function* readByConsumer(source: ReadSource, request: BoundedReadRequest): AsyncIterable<StoredMessage> {
  const { bus, stream } = source;
  const { fromPosition, endPosition } = await rangeOf(source, request);
  if (endPosition < fromPosition) return;
  let reached = 0;
  for (let rest: ReadRequest = { ...request, fromPosition }; ; rest = { ...rest, fromPosition: reached + 1 }) {
    const before = reached;
    const consumer = await orderedConsumer(bus.connection, stream, rest).catch((error: unknown) => {
      throw logError(error);
    });
    let messages: ConsumerMessages | undefined;
    try {
      const { num_pending: pending } = await consumer.info(true);
      if (pending === 0) return;
      messages = await consumer.consume(readOptions);
      closeWhenSilent(messages);
      for await (const message of messages) {
        const { streamSequence: position, pending: left } = message.info;
        if (position > endPosition) return;
        // Whoever reads from a time on, or the last of each subject, begins anew.
        if (position > reached) {
          reached = position;
          yield deliveredMessage(message);
        }
        if (position === endPosition || left === 0) return;
      }
    } finally {
      await messages?.close();
      void deleteQuietly(consumer);
    }
    if (reached === before) throw new PosternError('log.unavailable', 'The event log stopped answering.');
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
