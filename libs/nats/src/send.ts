import { newId, PosternError } from '@postern/contracts';
import type { SendOutcome } from '@postern/event-log';
import { errors } from '@nats-io/nats-core';

import { isNoResponders, isPermissionError, busError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { natsHeaders } from './stored-message.ts';

export interface StreamMessage {
  /** The stream that must acknowledge it: any other acknowledgement is a forgery. */
  readonly stream: string;
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly messageId?: string | undefined;
  readonly expectedPosition?: number | undefined;
  /** How long to wait for the acknowledgement. */
  readonly ackTimeoutMs: number;
}

/** "wrong last sequence" in its three forms: stale; a duplicate under way; another append under way. */
const conflictCodes = new Set([10071, 10158, 10164]);
/** One of a batch has an id that stands in the stream already: so stand all of them, or another's. */
const duplicateInBatchCode = 10201;
/** A batch with a gap, or one too many at a time: nothing is stored of it. */
const unstagedCodes = new Set([10176, 10210]);
/** Larger than the stream, or the server, takes. */
const tooLargeCodes = new Set([10054, 10098]);

interface Acknowledgement {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/**
 * Publishes once and tells what came of it.
 *
 * @throws {PosternError} `auth.forbidden`, `log.commit_too_large`; `log.unavailable` when the stream refused.
 */
export async function sendOnce(bus: Bus, message: StreamMessage): Promise<SendOutcome> {
  const { aroundSend } = bus;
  return await (aroundSend === undefined ? send(bus, message) : aroundSend(message.stream, () => send(bus, message)));
}

async function send(bus: Bus, message: StreamMessage): Promise<SendOutcome> {
  const answer = await ask(bus, message);
  return typeof answer === 'string' ? outcomeOf(parse(answer), message.stream) : answer;
}

/** @returns what the server answered, or what the silence means. */
async function ask(bus: Bus, message: StreamMessage): Promise<string | SendOutcome> {
  const { subject, payload, ackTimeoutMs } = message;
  const headers = natsHeaders(headersOf(message));
  try {
    return (await bus.request({ subject, payload, headers, timeoutMs: ackTimeoutMs })).string();
  } catch (error) {
    if (isPermissionError(error)) throw busError(error);
    const nowhere = isNoResponders(error) || error instanceof errors.ClosedConnectionError;
    return { kind: nowhere ? 'unreachable' : 'silent', cause: error };
  }
}

/** How a message says to which batch it belongs, and the last one that it is whole. */
export function batchHeaders(place: { readonly batchId: string; readonly index: number; readonly count: number }) {
  return {
    'Nats-Batch-Id': place.batchId,
    'Nats-Batch-Sequence': String(place.index + 1),
    ...(place.index === place.count - 1 && { 'Nats-Batch-Commit': '1' }),
  };
}

/**
 * Publishes several once, as one batch that the server stores whole or not at all.
 *
 * All but the last are staged only. Whatever keeps one of them from being staged makes the last one fail; the first is
 * awaited all the same, so that it is not said of hundreds one after the other.
 *
 * @returns where the first one stands
 * @throws {PosternError} as {@link sendOnce}
 */
export async function sendTogether(bus: Bus, messages: readonly StreamMessage[]): Promise<SendOutcome> {
  const batchId = newId('commit');
  const staged = messages.map((message, index) => ({
    ...message,
    headers: { ...message.headers, ...batchHeaders({ batchId, index, count: messages.length }) },
  }));
  const last = staged.at(-1);
  if (last === undefined) throw new Error('a batch of nothing');
  const { connection } = bus;
  for (const [index, message] of staged.slice(0, -1).entries()) {
    if (index === 0) {
      const outcome = await stage(bus, message);
      if (outcome !== undefined) return outcome;
    } else {
      connection.publish(message.subject, message.payload, { headers: natsHeaders(headersOf(message)) });
    }
  }
  // What was staged over another connection is lost with it; the server then finds gaps and stores nothing.
  const outcome = await sendOnce(bus, last);
  return outcome.kind === 'stored' ? { ...outcome, position: outcome.position - messages.length + 1 } : outcome;
}

/** @returns undefined once it is staged, which an empty answer says. */
async function stage(bus: Bus, message: StreamMessage): Promise<SendOutcome | undefined> {
  const answer = await ask(bus, message);
  if (typeof answer !== 'string') return answer;
  return answer === '' ? undefined : outcomeOf(parse(answer), message.stream);
}

function headersOf({ headers, messageId, expectedPosition }: StreamMessage): Record<string, string> {
  return {
    ...headers,
    ...(messageId === undefined ? {} : { 'Nats-Msg-Id': messageId }),
    ...(expectedPosition === undefined ? {} : { 'Nats-Expected-Last-Subject-Sequence': String(expectedPosition) }),
  };
}

function parse(text: string): Acknowledgement {
  try {
    return JSON.parse(text) as Acknowledgement;
  } catch {
    return {};
  }
}

function outcomeOf({ stream, seq, duplicate, error }: Acknowledgement, wanted: string): SendOutcome {
  if (error !== undefined) return refused(error.err_code ?? 0, error.description ?? 'refused');
  if (stream !== wanted || seq === undefined) {
    throw new PosternError('log.unavailable', `The acknowledgement did not come from the stream ${wanted}.`);
  }
  return duplicate === true ? { kind: 'duplicate', position: seq } : { kind: 'stored', position: seq };
}

function refused(code: number, description: string): SendOutcome {
  if (conflictCodes.has(code)) return { kind: 'conflict' };
  if (code === duplicateInBatchCode) return { kind: 'duplicate' };
  if (unstagedCodes.has(code)) return { kind: 'unreachable', cause: new Error(description) };
  if (tooLargeCodes.has(code))
    throw new PosternError('log.commit_too_large', 'The stream refuses a message that large.');
  throw new PosternError('log.unavailable', `The stream refused the message: ${description} (${code}).`);
}
