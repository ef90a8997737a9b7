import { setTimeout as delay } from 'node:timers/promises';

import { retryDelayMs, type AppendPolicy } from '@postern/event-log';
import { nanos } from '@nats-io/nats-core';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';

const ackTimeoutMs = 2_000;
const policy: AppendPolicy = Object.freeze({ attemptsMax: 12, retryDelayMsMin: 20, retryDelayMsMax: 1_000 });

/**
 * Tells a consumer what becomes of a message, again until it has heard it: one that is lost would keep its message
 * standing until the wait for the acknowledgement is over.
 *
 * @param reply where the message wants its acknowledgement.
 * @throws {PosternError} `log.unavailable`; it is delivered again some time.
 */
export async function acknowledge(bus: Bus, reply: string, word: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await bus.turnEnd();
    try {
      await bus.request({ subject: reply, payload: word, timeoutMs: ackTimeoutMs });
      return;
    } catch (error) {
      if (attempt >= policy.attemptsMax || bus.connection.isClosed()) throw logError(error);
      await delay(retryDelayMs(policy, attempt), undefined, { ref: false });
    }
  }
}

/** The same once, and nobody waits until the server knows: after a word that is lost, or has no connection, it is delivered again. */
export function acknowledgeOnce({ connection }: Bus, reply: string, word: string): void {
  if (!connection.isClosed() && !connection.isDraining()) connection.publish(reply, word);
}

export const done = '+ACK';

/** Deliver it again after a while; the server takes a fraction of a nanosecond for no delay at all. */
export function putBack(delayMs: number | undefined): string {
  return delayMs === undefined ? '-NAK' : `-NAK ${JSON.stringify({ delay: nanos(Math.ceil(delayMs)) })}`;
}
