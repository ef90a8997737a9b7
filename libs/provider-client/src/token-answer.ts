import { limits, Scope, TokenSet } from '@postern/contracts';
import type { Provider } from '@postern/provider-catalog';
import type { TokenEndpointResponse } from 'oauth4webapi';

import { ProviderCallError } from './provider-call-error.ts';

/** Past this nobody can tell a lifetime from a mistake; longer ones are cut. */
const expiresInSMax = 10 * 365 * 86_400;

interface TokenAnswer {
  readonly answer: TokenEndpointResponse;
  readonly provider: Provider;
  /** What the scopes are when the answer has none: those asked for, or those held so far. */
  readonly scopesOtherwise: readonly string[];
  /** What stays when the answer has none. @source RFC 6749 §6 */
  readonly refreshTokenOtherwise: string | null;
  /** When the call was made; a lifetime counted from there never ends too late. */
  readonly sentAtMs: number;
}

/**
 * What a token endpoint answered, as we keep it.
 *
 * @throws {ProviderCallError} `invalid_answer` when it cannot be kept: sender-constrained, or beyond the limits.
 * @source RFC 6749 §5.1
 */
export function tokenSetFrom({ answer, ...context }: TokenAnswer): TokenSet {
  if (answer.token_type !== 'bearer') throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  const parsed = TokenSet.safeParse({
    accessToken: answer.access_token,
    tokenType: 'Bearer',
    refreshToken: answer.refresh_token ?? context.refreshTokenOtherwise,
    accessTokenExpiresAtMs: expiresAtMs(answer.expires_in ?? context.provider.accessTokenDefaultTtlS, context.sentAtMs),
    grantedScopes: scopesFrom(answer.scope, context),
  });
  if (!parsed.success) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  return parsed.data;
}

/** Scopes as this provider separates them; what is no scope is left out rather than losing the token over it. */
function scopesFrom(scope: string | undefined, { provider, scopesOtherwise }: Omit<TokenAnswer, 'answer'>): string[] {
  if (scope === undefined) return [...scopesOtherwise];
  const separator = provider.scopeSeparator === ',' ? /[\s,]+/ : /\s+/;
  return [...new Set(scope.split(separator))]
    .filter((text) => Scope.safeParse(text).success)
    .slice(0, limits.scopesMax);
}

function expiresAtMs(expiresInS: number | null, sentAtMs: number): number | null {
  if (expiresInS === null) return null;
  return Math.floor(sentAtMs + Math.min(expiresInS, expiresInSMax) * 1000);
}

/**
 * Takes members that are `null` out of a JSON answer: several providers write them where the standard leaves them out.
 *
 * @returns the answer itself when it is no JSON object.
 */
export async function withoutNulls(response: Response): Promise<Response> {
  const text = await response.text();
  const { status, headers } = response;
  return new Response(cleaned(text), { status, headers });
}

function cleaned(text: string): string {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return text;
    return JSON.stringify(Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)));
  } catch {
    return text;
  }
}
