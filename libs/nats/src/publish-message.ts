import { PosternError } from '@postern/contracts';
import { retryDelayMs, type AppendPolicy } from '@postern/event-log';
import { setTimeout as delay } from 'node:timers/promises';

import type { Bus } from './bus.ts';
import { sendOnce } from './send.ts';

export interface MessageToPublish {
  /** The stream that must acknowledge it. */
  readonly stream: string;
  readonly subject: string;
  /** Sent as JSON; bytes as they are. */
  readonly payload: unknown;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Never stored twice within the stream's duplicate window. */
  readonly messageId?: string | undefined;
  /** Stored only while this is the position of the last message on its subject; 0: while there is none. */
  readonly expectedLastSubjectPosition?: number | undefined;
  readonly ackTimeoutMs?: number | undefined;
}

const publishPolicy: AppendPolicy = Object.freeze({ attemptsMax: 4, retryDelayMsMin: 20, retryDelayMsMax: 500 });

/**
 * Stores a message on a stream that is not an event log: a due refresh, a notification.
 *
 * @effect Durable once it resolves, unless its stream is not synced (`persistMode`). A message with an id is sent again after
 *   silence, one without is not.
 * @throws {PosternError} `log.conflict` when something stands on its subject, `log.outcome_unknown`, `log.unavailable`,
 *   `auth.forbidden`, `log.commit_too_large`.
 */
export async function publishMessage(
  bus: Bus,
  message: MessageToPublish,
): Promise<{ readonly position: number; readonly duplicate: boolean }> {
  const { stream, subject, headers, messageId, expectedLastSubjectPosition, ackTimeoutMs = 2_000 } = message;
  const payload =
    message.payload instanceof Uint8Array ? message.payload : Buffer.from(JSON.stringify(message.payload));
  const request = { stream, subject, payload, headers, messageId, ackTimeoutMs };
  let silence: unknown;
  for (let attempt = 1; attempt <= publishPolicy.attemptsMax; attempt += 1) {
    await bus.turnEnd();
    const outcome = await sendOnce(bus, { ...request, expectedPosition: expectedLastSubjectPosition });
    if (outcome.kind === 'stored') return { position: outcome.position, duplicate: false };
    if (outcome.kind === 'duplicate') return { position: outcome.position ?? 0, duplicate: true };
    if (outcome.kind === 'conflict') throw new PosternError('log.conflict', `Something stands on ${subject} already.`);
    if (outcome.kind === 'silent') silence = outcome.cause;
    if (outcome.kind === 'silent' && messageId === undefined) break;
    if (attempt < publishPolicy.attemptsMax) await delay(retryDelayMs(publishPolicy, attempt));
  }
  if (silence === undefined) throw new PosternError('log.unavailable', `No stream takes ${subject}.`);
  throw new PosternError('log.outcome_unknown', `No acknowledgement came for ${subject}.`, { cause: silence });
}
