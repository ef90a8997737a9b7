import type { StoredMessage } from '@postern/event-log';
import type { Msg } from '@nats-io/nats-core';

import { logError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { storedMessage } from './stored-message.ts';

const batchMessagesMax = 256;
const batchTimeoutMs = 2_000;

export interface SubjectSource {
  readonly bus: Bus;
  readonly stream: string;
  /** From the leader: the first message on the subject at or after a position. */
  readonly next: (position: number) => Promise<StoredMessage | undefined>;
}

export interface SubjectRange {
  readonly subject: string;
  readonly fromPosition: number;
  readonly endPosition: number;
}

/**
 * Reads one aggregate's messages by batched direct gets, without a consumer.
 *
 * A replica may be behind, and a batch may be cut short, so the leader has the last word on whether there is more.
 */
export async function* readBySubject(source: SubjectSource, range: SubjectRange): AsyncIterable<StoredMessage> {
  let position = range.fromPosition;
  while (position <= range.endPosition) {
    let found = 0;
    for await (const message of batch(source, range.subject, position)) {
      if (message.position > range.endPosition) return;
      found += 1;
      position = message.position + 1;
      yield message;
    }
    if (found > 0) continue;
    const message = await source.next(position);
    if (message === undefined || message.position > range.endPosition) return;
    position = message.position + 1;
    yield message;
  }
}

async function* batch({ bus, stream }: SubjectSource, subject: string, seq: number): AsyncIterable<StoredMessage> {
  const request = JSON.stringify({ seq, next_by_subj: subject, batch: batchMessagesMax });
  try {
    const answers = await bus.connection.requestMany(`$JS.API.DIRECT.GET.${stream}`, request, {
      strategy: 'sentinel',
      maxWait: batchTimeoutMs,
    });
    for await (const answer of answers) {
      if (answer.headers !== undefined && answer.headers.code === 0) yield fromDirect(answer);
    }
  } catch (error) {
    throw logError(error);
  }
}

function fromDirect({ data, headers }: Msg): StoredMessage {
  return storedMessage({
    subject: headers?.last('Nats-Subject') ?? '',
    seq: Number(headers?.last('Nats-Sequence')),
    timeMs: Date.parse(headers?.last('Nats-Time-Stamp') ?? ''),
    data,
    headers,
  });
}
