import { PosternError } from '@postern/contracts';
import type { ReadRequest, StoredMessage } from '@postern/event-log';
import type { Consumer, ConsumerMessages } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { orderedConsumer, pullOptions } from './ordered-options.ts';
import { storedMessage } from './stored-message.ts';

/** Reads many aggregates in order up to a position, through an ordered consumer. */
export async function* readByConsumer(
  bus: Bus,
  stream: string,
  request: ReadRequest & { readonly endPosition: number },
): AsyncIterable<StoredMessage> {
  const consumer = await orderedConsumer(bus.connection, stream, request).catch((error: unknown) => {
    throw logError(error);
  });
  try {
    const { num_pending: pending } = await consumer.info(true);
    if (pending > 0) yield* upTo(request.endPosition, await consumer.consume(pullOptions));
  } finally {
    void deleteQuietly(consumer);
  }
}

async function* upTo(endPosition: number, messages: ConsumerMessages): AsyncIterable<StoredMessage> {
  const stalled = stopWhenStalled(messages);
  try {
    for await (const { subject, seq, data, headers, info } of messages) {
      if (seq > endPosition) return;
      yield storedMessage({ subject, seq, timeMs: Math.floor(info.timestampNanos / 1e6), data, headers });
      if (seq === endPosition || info.pending === 0) return;
    }
  } finally {
    await messages.close();
  }
  if (stalled()) throw new PosternError('log.unavailable', 'The event log stopped answering.');
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
