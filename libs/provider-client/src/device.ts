import { DeviceCode } from '@postern/contracts';
import type { DeviceAuthorizationResponse } from 'oauth4webapi';

import { assertReachable } from './guarded-fetch.ts';
import type { DeviceAuthorized, Failed, Rejected, Undecided } from './outcomes.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** Between two questions where the provider names no interval. @source RFC 8628 §3.2 */
const intervalSDefault = 5;
/** What `slow_down` adds, for this question and all that follow. @source RFC 8628 §3.5 */
const slowDownS = 5;
/** Past this, waiting longer takes nothing off a provider and leaves an end user waiting. */
const intervalSMax = 60;

/**
 * What a device authorization endpoint answered, as we keep it. Where people are sent to is judged like any other URL.
 *
 * @throws {ProviderCallError} `invalid_answer`, `insecure_url`
 * @source RFC 8628 §3.2
 * @internal
 */
export function deviceCodeFrom(
  answer: DeviceAuthorizationResponse,
  { sentAtMs, allowLoopback }: { readonly sentAtMs: number; readonly allowLoopback: boolean },
): DeviceAuthorized {
  const parsed = DeviceCode.safeParse({
    deviceCode: answer.device_code,
    userCode: answer.user_code,
    verificationUri: answer.verification_uri,
    expiresAtMs: Math.floor(sentAtMs + answer.expires_in * 1_000),
  });
  if (!parsed.success) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  assertReachable(parsed.data.verificationUri, allowLoopback);
  const intervalS = Math.min(Math.max(1, Math.ceil(answer.interval ?? intervalSDefault)), intervalSMax);
  return { kind: 'device_authorized', deviceCode: parsed.data, intervalS };
}

/**
 * What a token endpoint says while there are no tokens.
 *
 * @returns undefined for what the general rule weighs
 * @source RFC 8628 §3.5
 * @internal
 */
export function withoutTokens(body: unknown, httpStatus: number): Undecided | Rejected | undefined {
  const error: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'error') : undefined;
  if (error === 'authorization_pending') return { kind: 'undecided', slowDown: false };
  if (error === 'slow_down') return { kind: 'undecided', slowDown: true };
  if (error !== 'access_denied' && error !== 'expired_token') return undefined;
  return { kind: 'rejected', error, errorDescription: null, httpStatus };
}

/**
 * How long to wait before the next question, where there is one to ask.
 *
 * @source RFC 8628 §3.5
 */
export function nextIntervalS(intervalS: number, answer: Undecided | Failed): number {
  if (answer.kind === 'undecided') return answer.slowDown ? intervalS + slowDownS : intervalS;
  // Unreachable, too slow, or in trouble: asking as often as before would add to it.
  return Math.max(intervalS, Math.min(intervalS * 2, intervalSMax));
}
