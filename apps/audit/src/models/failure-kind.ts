import type { HealthFailureKind } from '@postern/contracts';

/** What no answer of a provider brings, and our own words stand for: where it is sent to is wrong. */
const registrationWords: ReadonlySet<string> = new Set([
  'insecure_url',
  'metadata_incomplete',
  'invalid_client',
  'unauthorized_client',
]);
const doubtWords: ReadonlySet<string> = new Set(['invalid_grant']);
const limitWords: ReadonlySet<string> = new Set(['slow_down', 'rate_limited', 'rate_limit_exceeded']);

/**
 * Whose trouble a failed refresh is, by what the provider said of it or by our own code where it said nothing.
 *
 * A grant that a provider calls dead among many at once is in doubt, not dead: such an answer is recorded as a failure.
 */
export function failureKindOf({ error, httpStatus }: { error: string; httpStatus: number | null }): HealthFailureKind {
  if (registrationWords.has(error)) return 'registration_refused';
  if (doubtWords.has(error)) return 'grant_doubted';
  if (httpStatus === 429 || limitWords.has(error)) return 'rate_limited';
  if (httpStatus !== null) return httpStatus >= 500 || httpStatus < 300 ? 'provider_error' : 'refused';
  // Codes of our own have an area; those about the provider are of its own.
  return error.includes('.') && !error.startsWith('provider.') ? 'postern' : 'unreachable';
}
