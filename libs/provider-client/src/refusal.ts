import type { Provider } from '@postern/provider-catalog';
import type { Secret } from '@postern/crypto';

import { retryAfterMsMax, type Failed, type Refusal, type RevokeOutcome } from './outcomes.ts';
import type { ProviderCallError } from './provider-call-error.ts';
import { providerWords } from './provider-words.ts';

interface RefusalInput {
  readonly response: Response;
  readonly errorWords: Provider['errorWords'];
  readonly secrets: readonly Secret[];
  readonly nowMs: number;
}

/**
 * Weighs an answer that is not a success.
 *
 * Only a 4xx that names one of the provider's own words for it is a verdict on the grant or on our client. A 429, a
 * 5xx, a page of a proxy in between, an `error` nobody announced: all of these are trouble that passes, and taking
 * one of them for a dead grant would send an end user to authorize again for nothing.
 *
 * @source RFC 6749 §5.2
 */
export async function refusalOf({ response, errorWords, secrets, nowMs }: RefusalInput): Promise<Refusal> {
  const { status } = response;
  const { error, errorDescription } = providerWords(await jsonOf(response), secrets);
  const verdict = status >= 400 && status < 500 && status !== 408 && status !== 429;
  if (verdict && error !== null && errorWords.refreshRejected.includes(error)) {
    return { kind: 'rejected', error, errorDescription, httpStatus: status };
  }
  if (verdict && ((error !== null && errorWords.clientRejected.includes(error)) || status === 401)) {
    return { kind: 'client_rejected', error: error ?? 'http_401', errorDescription, httpStatus: status };
  }
  return {
    kind: 'failed',
    error: error ?? `http_${status}`,
    httpStatus: status,
    retryAfterMs: retryAfterMsOf(response.headers.get('retry-after'), nowMs),
    mayHaveBeenProcessed: status >= 500 && status !== 503,
  };
}

/** A call that has no answer, as an outcome. */
export function failureOf(error: ProviderCallError): Failed {
  return {
    kind: 'failed',
    error: error.reason,
    httpStatus: error.httpStatus,
    retryAfterMs: null,
    mayHaveBeenProcessed: error.mayHaveBeenProcessed,
  };
}

/** @source RFC 9110 §10.2.3 */
export function retryAfterMsOf(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const ms = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), retryAfterMsMax) : null;
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

/** A refusal where there is no grant to judge: only whether to try again. */
export function withoutVerdict(outcome: Refusal, unsupported: string): Extract<RevokeOutcome, { kind: 'failed' }> {
  if (outcome.kind !== 'failed') {
    const { error, httpStatus } = outcome;
    return { kind: 'failed', error, httpStatus, retryable: false, retryAfterMs: null };
  }
  const { error, httpStatus, retryAfterMs } = outcome;
  if (error === 'metadata_incomplete') {
    return { kind: 'failed', error: unsupported, httpStatus: null, retryable: false, retryAfterMs: null };
  }
  const final =
    httpStatus !== null && httpStatus >= 400 && httpStatus < 500 && httpStatus !== 408 && httpStatus !== 429;
  return { kind: 'failed', error, httpStatus, retryable: !final && error !== 'insecure_url', retryAfterMs };
}
