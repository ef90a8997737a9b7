import { addCheckpointBody, cosignaturesOf, type AddCheckpoint } from '@postern/crypto';
import { callErrorReason, type GuardedFetch } from '@postern/provider-client';

import type { WitnessPlace } from './witness-list.ts';

/** What a witness made of a checkpoint that it was shown. */
export type Shown =
  | { readonly outcome: 'cosigned'; readonly line: string }
  /** Its newest is of this size, and not of the one that it was said to have. */
  | { readonly outcome: 'conflict'; readonly witnessSize: number }
  /** It does not continue what it has cosigned. */
  | { readonly outcome: 'contradicted' }
  /** It will not cosign, for a reason that an operator mends: it does not know the log, or its key. */
  | { readonly outcome: 'refused'; readonly status: number }
  /** What it answered is no cosignature of its own. */
  | { readonly outcome: 'not_its_own' }
  | { readonly outcome: 'unanswered'; readonly reason: string };

const okStatus = 200;
const conflictStatus = 409;
const unprocessableStatus = 422;
const lastingStatuses = new Set([400, 403, 404, 405, 413]);

/**
 * Shows a witness a checkpoint, once.
 *
 * @effect The witness may have cosigned it whatever comes back; shown again it answers the same.
 * @returns never an exception for a witness.
 * @source C2SP tlog-witness, "add-checkpoint"
 */
export async function showCheckpoint(witness: WitnessPlace, asked: AddCheckpoint, fetch: GuardedFetch): Promise<Shown> {
  try {
    const response = await fetch(`${witness.url}/add-checkpoint`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8', 'user-agent': 'Postern-Witness-Feeder/1' },
      body: addCheckpointBody(asked),
    });
    return shownOf(witness, asked, { status: response.status, body: await response.text() });
  } catch (error) {
    const reason = callErrorReason(error);
    if (reason === undefined) throw error;
    return { outcome: 'unanswered', reason };
  }
}

function shownOf(witness: WitnessPlace, asked: AddCheckpoint, answer: { status: number; body: string }): Shown {
  const { status, body } = answer;
  if (status === okStatus) {
    const line = body
      .split('\n')
      .map((one) => `${one}\n`)
      .find((one) => cosignaturesOf(asked.checkpoint + one, [witness]).length === 1);
    return line === undefined ? { outcome: 'not_its_own' } : { outcome: 'cosigned', line };
  }
  if (status === conflictStatus) {
    const size = /^(0|[1-9]\d{0,15})\n?$/.exec(body)?.[1];
    if (size === undefined) return { outcome: 'unanswered', reason: `http_${status}` };
    // It has this very size, and another tree of it.
    const witnessSize = Number(size);
    return witnessSize === asked.oldSize ? { outcome: 'contradicted' } : { outcome: 'conflict', witnessSize };
  }
  if (status === unprocessableStatus) return { outcome: 'contradicted' };
  return lastingStatuses.has(status)
    ? { outcome: 'refused', status }
    : { outcome: 'unanswered', reason: `http_${status}` };
}
