import type { ReadRequest } from '@postern/event-log';
import { nuid, type NatsConnection } from '@nats-io/nats-core';
import { DeliverPolicy, jetstream, type Consumer, type OrderedConsumerOptions } from '@nats-io/jetstream';

/** Heartbeats every second: a feed that fell silent is noticed within two. */
export const pullOptions = Object.freeze({ max_messages: 500, expires: 10_000, idle_heartbeat: 1_000 });

/** A reading takes what there is as fast as it can; the next are asked for while half of these wait to be read. */
export const readOptions = Object.freeze({ ...pullOptions, max_messages: 1_000, threshold_messages: 500 });

const createTimeoutMs = 3_000;
/** The server first looks up the last message of every subject: with a million of them, on a busy machine, for longer. */
const createPerSubjectTimeoutMs = 30_000;

/** An ordered consumer of our own for one reading; its name is unique, as the server wants it. */
export async function orderedConsumer(
  connection: NatsConnection,
  stream: string,
  request: ReadRequest,
): Promise<Consumer> {
  const options: Partial<OrderedConsumerOptions> = {
    name_prefix: `follow_${nuid.next()}`,
    filter_subjects: request.filter,
    ...startOf(request),
  };
  const timeout = request.lastPerSubject === true ? createPerSubjectTimeoutMs : createTimeoutMs;
  return await jetstream(connection, { timeout }).consumers.get(stream, options);
}

function startOf({ fromPosition, sinceMs, lastPerSubject }: ReadRequest): Partial<OrderedConsumerOptions> {
  if (lastPerSubject === true) return { deliver_policy: DeliverPolicy.LastPerSubject };
  if (sinceMs !== undefined) {
    return { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(sinceMs).toISOString() };
  }
  return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, fromPosition ?? 1) };
}
