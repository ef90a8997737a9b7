import type { Secret } from '@postern/crypto';
import { classifyProbe, type Provider, type TokenProbe } from '@postern/provider-catalog';

import { challengeParameters } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { ProbeOutcome } from './outcomes.ts';
import { retryAfterMsOf } from './refusal.ts';
import { carrying } from './static-credential.ts';
import { callsItselfJson } from './token-answer.ts';

interface Probing {
  readonly url: string;
  /** Says where a request carries it. */
  readonly provider: Pick<Provider, 'credential'>;
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
  { url, provider, accessToken, fetch, nowMs }: Probing,
): Promise<ProbeOutcome> {
  const carried = carrying(provider, { url, accessToken });
  const headers = { accept: 'application/json', 'user-agent': 'postern', ...carried.headers };
  const response = await fetch(carried.url, { method: probe.method, headers });
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
