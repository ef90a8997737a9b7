import { classifyAnswer, type AnswerRow } from '@postern/provider-catalog';
import type { Secret } from '@postern/crypto';

import { retryAfterMsMax, type ClientRejected, type Failed, type Refusal, type RevokeOutcome } from './outcomes.ts';
import type { ProviderCallError } from './provider-call-error.ts';
import { providerWords } from './provider-words.ts';
import { callsItselfJson } from './token-answer.ts';

interface RefusalInput {
  readonly response: Response;
  /** The provider's own rows, above the general rule. */
  readonly rows: readonly AnswerRow[];
  readonly secrets: readonly Secret[];
  readonly nowMs: number;
}

/**
 * Weighs an answer that brings no tokens, by the provider's table and the general rule below it.
 *
 * @source RFC 6749 §5.2
 */
export async function refusalOf({ response, rows, secrets, nowMs }: RefusalInput): Promise<Refusal> {
  const { status: httpStatus } = response;
  const body = await jsonOf(response);
  const { row, words } = classifyAnswer({ httpStatus, body }, rows);
  const { error: said, errorDescription } = providerWords(body, words, secrets);
  const error = said ?? (httpStatus < 300 ? 'invalid_answer' : `http_${httpStatus}`);
  if (row.means === 'rejected') return { kind: 'rejected', error, errorDescription, httpStatus };
  if (row.means === 'ours_to_mend') return { kind: 'client_rejected', error, errorDescription, httpStatus };
  return {
    kind: 'failed',
    error,
    errorDescription,
    httpStatus,
    retryAfterMs: retryAfterMsOf(response.headers.get('retry-after'), nowMs),
    mayHaveBeenProcessed: row.mayBeSpent,
  };
}

/** What no provider can mend: where it is sent to, by a registration or by metadata, and with which certificate. */
const misconfigured: ReadonlySet<string> = new Set([
  'insecure_url',
  'address_refused',
  'metadata_incomplete',
  'client_certificate_refused',
  'client_certificate_expired',
]);

/** A call that has no answer, as an outcome. */
export function failureOf({
  reason: error,
  httpStatus,
  mayHaveBeenProcessed,
}: ProviderCallError): Failed | ClientRejected {
  if (misconfigured.has(error)) return { kind: 'client_rejected', error, errorDescription: null, httpStatus };
  return { kind: 'failed', error, errorDescription: null, httpStatus, retryAfterMs: null, mayHaveBeenProcessed };
}

/** @source RFC 9110 §10.2.3 */
export function retryAfterMsOf(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), retryAfterMsMax) : null;
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return callsItselfJson(response) ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

/** A refusal where there is no grant to judge: only whether to try again. */
export function withoutVerdict(outcome: Refusal, unsupported: string): Extract<RevokeOutcome, { kind: 'failed' }> {
  const { error, httpStatus } = outcome;
  if (error === 'metadata_incomplete') {
    return { kind: 'failed', error: unsupported, httpStatus: null, retryable: false, retryAfterMs: null };
  }
  const retryAfterMs = outcome.kind === 'failed' ? outcome.retryAfterMs : null;
  return { kind: 'failed', error, httpStatus, retryable: mayPass(outcome), retryAfterMs };
}

/** May the same be taken later? Not what the provider has looked at and refused, for whatever reason. */
export function mayPass({ kind, httpStatus }: Refusal): boolean {
  if (kind !== 'failed') return false;
  return httpStatus === null || httpStatus < 400 || httpStatus >= 500 || httpStatus === 408 || httpStatus === 429;
}
