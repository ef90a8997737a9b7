import { isPosternError, PosternError } from '@postern/contracts';
import { callErrorReason, type GuardedFetch } from '@postern/provider-client';
import { z } from 'zod';

import type { SetRefusal } from './set-refusal.ts';

/** What a transmitter is told with the next poll about what it sent before. @source RFC 8936 §2.4 */
export interface PollAnswers {
  readonly ack: readonly string[];
  readonly setErrs: Readonly<Record<string, SetRefusal['body']>>;
}

/** @source RFC 8936 §2.5 */
const PollReply = z.object({
  sets: z.record(z.string().max(512), z.string()).default({}),
  moreAvailable: z.boolean().default(false),
});
export type PollReply = z.infer<typeof PollReply>;

/** What came of one poll. */
export type Polled =
  | { readonly kind: 'reply'; readonly reply: PollReply }
  | { readonly kind: 'not_let_in' }
  | { readonly kind: 'too_large' }
  | { readonly kind: 'failed'; readonly reason: string; readonly retryAfterMs: number | null };

interface Poll {
  readonly endpoint: string;
  readonly bearer: string | null;
  readonly answers: PollAnswers;
  readonly maxEvents: number;
  /** May the transmitter wait with its answer until it has something? */
  readonly holds: boolean;
  readonly fetch: GuardedFetch;
  readonly signal: AbortSignal;
}

/**
 * One poll: says what became of what came before, and takes what is new.
 *
 * @source RFC 8936 §2.2, §2.4
 */
export async function pollOnce({ endpoint, bearer, answers, maxEvents, holds, fetch, signal }: Poll): Promise<Polled> {
  const headers = {
    accept: 'application/json',
    'content-type': 'application/json',
    'user-agent': 'postern',
    ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
  };
  const body = JSON.stringify({ maxEvents, returnImmediately: !holds, ...answers });
  try {
    const response = await fetch(endpoint, { method: 'POST', headers, body, signal });
    if (response.status === 401 || response.status === 403) return { kind: 'not_let_in' };
    if (response.status !== 200) return failed(`status ${response.status}`, response);
    const parsed = PollReply.safeParse(await response.json().catch(() => undefined));
    return parsed.success ? { kind: 'reply', reply: parsed.data } : failed('no answer to a poll', response);
  } catch (error) {
    if (isPosternError(error)) throw error;
    const reason = callErrorReason(error);
    if (reason === undefined) throw new PosternError('service.internal', 'A poll failed.', { cause: error });
    return reason === 'too_large' ? { kind: 'too_large' } : { kind: 'failed', reason, retryAfterMs: null };
  }
}

function failed(reason: string, { headers }: Response): Polled {
  const retryAfterS = Number(headers.get('retry-after') ?? Number.NaN);
  return { kind: 'failed', reason, retryAfterMs: Number.isFinite(retryAfterS) ? retryAfterS * 1000 : null };
}
