import { consumers, type ConsumerKey } from '@postern/contracts';
import { jetstream } from '@nats-io/jetstream';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';

/**
 * The position up to which a durable consumer is done with everything, so that nothing at or before it is ever
 * delivered again.
 *
 * A message of a work queue that stands there all the same came back: a killed nats-server may lose the removal of a
 * message and keep its acknowledgement.
 *
 * @throws {PosternError} `log.unavailable`, `auth.forbidden`
 */
export async function acknowledgedUpTo(bus: Bus, key: ConsumerKey): Promise<number> {
  const { stream, name } = consumers[key];
  try {
    const consumer = await jetstream(bus.connection).consumers.get(stream, name);
    return (await consumer.info(true)).ack_floor.stream_seq;
  } catch (error) {
    throw logError(error);
  }
}
