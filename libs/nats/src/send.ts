import { PosternError } from '@postern/contracts';
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
  const { subject, payload, stream, ackTimeoutMs } = message;
  const headers = natsHeaders(headersOf(message));
  let text: string;
  try {
    const answer = await bus.whileConnected(ackTimeoutMs, (timeout) =>
      bus.connection.request(subject, payload, { headers, timeout }),
    );
    text = answer.string();
  } catch (error) {
    if (isPermissionError(error)) throw busError(error);
    const nowhere = isNoResponders(error) || error instanceof errors.ClosedConnectionError;
    return { kind: nowhere ? 'unreachable' : 'silent', cause: error };
  }
  return outcomeOf(parse(text), stream);
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
  if (tooLargeCodes.has(code))
    throw new PosternError('log.commit_too_large', 'The stream refuses a message that large.');
  throw new PosternError('log.unavailable', `The stream refused the message: ${description} (${code}).`);
}
