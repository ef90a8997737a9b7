import type { BoundedReadRequest, StoredMessage } from '@postern/event-log';

import { logError } from './bus-errors.ts';
import { rangeOf, type ReadSource } from './read-range.ts';
import { directMessage } from './stored-message.ts';

const batchMessagesMax = 256;
const batchTimeoutMs = 2_000;

export interface SubjectSource extends ReadSource {
  /** From the leader: the first message on the subject at or after a position. */
  readonly next: (position: number) => Promise<StoredMessage | undefined>;
}

/**
 * Reads one aggregate's messages by batched direct gets, without a consumer.
 *
 * A replica may be behind, and a batch may be cut short, so the leader has the last word on whether there is more.
 */
export async function* readBySubject(source: SubjectSource, request: BoundedReadRequest): AsyncIterable<StoredMessage> {
  const { filter: subject, fromPosition, endPosition } = await rangeOf(source, request);
  let position = fromPosition;
  while (position <= endPosition) {
    let found = 0;
    for await (const message of batch(source, subject, position)) {
      if (message.position > endPosition) return;
      found += 1;
      position = message.position + 1;
      yield message;
    }
    if (found > 0) continue;
    const message = await source.next(position);
    if (message === undefined || message.position > endPosition) return;
    position = message.position + 1;
    yield message;
  }
}

interface LastUntil {
  readonly subject: string;
  readonly untilPosition: number;
}

/**
 * The last message on a subject at or before a position.
 *
 * A replica that has not come so far would answer with an older one, so the leader says whether there is another one
 * in between.
 */
export async function lastUntil(
  source: SubjectSource,
  { subject, untilPosition }: LastUntil,
): Promise<StoredMessage | undefined> {
  if (untilPosition < 1) return undefined;
  // Most that are asked about have none before: searching for it, the server would walk through its whole log.
  const first = await source.next(1);
  if (first === undefined || first.position > untilPosition) return undefined;
  let found: StoredMessage | undefined;
  for await (const message of answersTo(source, { multi_last: [subject], up_to_seq: untilPosition })) found = message;
  for (;;) {
    const next = await source.next((found?.position ?? 0) + 1);
    if (next === undefined || next.position > untilPosition) return found;
    found = next;
  }
}

/** More subjects than this the server refuses in one request. */
export const lastMessagesSubjectsMax = 1_024;

interface LastOfEach {
  readonly subjects: readonly string[];
  readonly untilPosition: number;
  /** What stands at that position, from the leader. */
  readonly atEnd: StoredMessage | undefined;
}

/**
 * The last message on each subject at or before a position, so many subjects a request.
 *
 * With them goes the subject of what stands at the position itself. The answer comes in order, from one replica, so that
 * with that message all before it have come: the replica has not lagged, and nothing was cut off. Where it does not come,
 * or nothing stands there, the subjects that are left are looked up one by one.
 *
 * @param sourceOf a subject.
 */
export async function lastOfEach(
  sourceOf: (subject: string) => SubjectSource,
  { subjects, untilPosition, atEnd }: LastOfEach,
): Promise<ReadonlyMap<string, StoredMessage>> {
  const found = new Map<string, StoredMessage>();
  const each = lastMessagesSubjectsMax - 1;
  for (let at = 0; at < subjects.length; at += each) {
    const asked = subjects.slice(at, at + each);
    const answer =
      atEnd === undefined ? undefined : await lastsTogether(sourceOf, { subjects: asked, untilPosition, atEnd });
    for (const subject of asked) {
      const message =
        answer === undefined ? await lastUntil(sourceOf(subject), { subject, untilPosition }) : answer.get(subject);
      if (message !== undefined) found.set(subject, message);
    }
  }
  return found;
}

/** @returns undefined for an answer that is not whole. */
async function lastsTogether(
  sourceOf: (subject: string) => SubjectSource,
  { subjects, untilPosition, atEnd }: LastOfEach & { readonly atEnd: StoredMessage },
): Promise<ReadonlyMap<string, StoredMessage> | undefined> {
  const found = new Map<string, StoredMessage>();
  const wanted = [...new Set([...subjects, atEnd.subject])];
  const query = { multi_last: wanted, up_to_seq: untilPosition };
  for await (const message of answersTo(sourceOf(atEnd.subject), query)) found.set(message.subject, message);
  return found.get(atEnd.subject)?.position === untilPosition ? found : undefined;
}

function batch(source: SubjectSource, subject: string, seq: number): AsyncIterable<StoredMessage> {
  return answersTo(source, { seq, next_by_subj: subject, batch: batchMessagesMax });
}

/** Direct gets in one request. An empty message would be taken for the end of the answer. */
export async function* answersTo(
  { bus, stream }: Pick<SubjectSource, 'bus' | 'stream'>,
  query: object,
): AsyncIterable<StoredMessage> {
  const request = JSON.stringify(query);
  try {
    const answers = await bus.connection.requestMany(`$JS.API.DIRECT.GET.${stream}`, request, {
      strategy: 'sentinel',
      maxWait: batchTimeoutMs,
    });
    for await (const answer of answers) {
      const message = directMessage(answer);
      if (message !== undefined) yield message;
    }
  } catch (error) {
    throw logError(error);
  }
}
