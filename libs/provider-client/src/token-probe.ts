import type { Secret } from '@postern/crypto';
import { classifyProbe, type TokenProbe } from '@postern/provider-catalog';

import { challengeParameters } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { ProbeOutcome } from './outcomes.ts';
import { retryAfterMsOf } from './refusal.ts';
import { callsItselfJson } from './token-answer.ts';

interface Probing {
  readonly url: string;
  readonly accessToken: Secret;
  readonly fetch: GuardedFetch;
  readonly nowMs: number;
}

/**
 * Asks a provider's API whether an access token lives, by a call that changes nothing.
 *
 * @throws {ProviderCallError}
 * @source RFC 6750 §2.1
 * @internal
 */
export async function probeToken(
  probe: TokenProbe,
  { url, accessToken, fetch, nowMs }: Probing,
): Promise<ProbeOutcome> {
  const authorization = `Bearer ${accessToken.reveal()}`;
  const headers = { accept: 'application/json', authorization, 'user-agent': 'postern' };
  const response = await fetch(url, { method: probe.method, headers });
  const { status: httpStatus } = response;
  const challenge = challengeParameters(response.headers.get('www-authenticate')).get('error') ?? null;
  const { verdict, error } = classifyProbe(probe, { httpStatus, body: await bodyOf(response), challenge });
  if (verdict !== 'unclear') return { kind: verdict, error, httpStatus };
  const retryAfterMs = retryAfterMsOf(response.headers.get('retry-after'), nowMs);
  const isFinal = httpStatus >= 400 && httpStatus < 500 && httpStatus !== 408 && httpStatus !== 429;
  return { kind: 'failed', error: `http_${httpStatus}`, httpStatus, retryable: !isFinal, retryAfterMs };
}

async function bodyOf(response: Response): Promise<unknown> {
  try {
    return callsItselfJson(response) ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
