import { GrantedAuthorizationDetails, limits, Scope, TokenSet } from '@postern/contracts';
import type { Provider } from '@postern/provider-catalog';
import { getValidatedIdTokenClaims, type TokenEndpointResponse } from 'oauth4webapi';

import { ProviderCallError } from './provider-call-error.ts';

/** Past this nobody can tell a lifetime from a mistake; longer ones are cut. */
const expiresInSMax = 10 * 365 * 86_400;

/** What no header can carry is no access token. @source RFC 6749 appendix A.12 */
const headerSafe = /^[ -~]+$/;

interface TokenAnswer {
  readonly answer: TokenEndpointResponse;
  readonly provider: Provider;
  /** What the scopes are when the answer has none: those asked for, or those held so far. */
  readonly scopesOtherwise: readonly string[];
  /** What stays when the answer has none. @source RFC 6749 §6 */
  readonly refreshTokenOtherwise: string | null;
  /** What stays when the answer has none, or none that can be read. @source RFC 9396 §7 */
  readonly detailsOtherwise?: TokenSet['authorizationDetails'];
  /** Was it asked for with a proof? Then no other token is taken. @source RFC 9449 §5 */
  readonly bound?: boolean | undefined;
  /** Is an ID token that comes along kept, to be shown to its provider again? */
  readonly keepsIdentity?: boolean | undefined;
  /** When the call was made; a lifetime counted from there never ends too late. */
  readonly sentAtMs: number;
}

/**
 * What a token endpoint answered, as we keep it.
 *
 * @throws {ProviderCallError} `invalid_answer` when it cannot be kept: bound to a key though nobody asked for that, or not
 *   bound though we did; in characters that no token has,
 *   or beyond the limits.
 * @source RFC 6749 §5.1
 */
export function tokenSetFrom({ answer, bound = false, ...context }: TokenAnswer): TokenSet {
  const usable = answer.token_type === (bound ? 'dpop' : 'bearer') && headerSafe.test(answer.access_token);
  if (!usable) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  const parsed = TokenSet.safeParse({
    accessToken: answer.access_token,
    tokenType: bound ? 'DPoP' : 'Bearer',
    refreshToken: answer.refresh_token ?? context.refreshTokenOtherwise,
    accessTokenExpiresAtMs: expiresAtMs(answer.expires_in ?? context.provider.accessTokenDefaultTtlS, context.sentAtMs),
    grantedScopes: scopesFrom(answer.scope, context),
    identity: context.keepsIdentity === true ? identityFrom(answer) : undefined,
    authorizationDetails: detailsFrom(answer, context),
  });
  if (!parsed.success) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  return parsed.data;
}

/**
 * An ID token that was checked, with its end; one that is longer than any should be is left.
 *
 * @source OpenID Connect Core 1.0 §3.1.3.7, §12.2
 */
function identityFrom(answer: TokenEndpointResponse): TokenSet['identity'] {
  const { id_token: idToken } = answer;
  const claims = getValidatedIdTokenClaims(answer);
  if (idToken === undefined || claims === undefined || idToken.length > limits.idTokenCharsMax) return undefined;
  return { idToken, expiresAtMs: claims.exp * 1_000 };
}

const MaybeDetails = GrantedAuthorizationDetails.optional();

/** Losing the only copy of a token over what is said beside it would help nobody. @source RFC 9396 §7 */
function detailsFrom(
  { authorization_details: said }: TokenEndpointResponse,
  { detailsOtherwise }: Pick<TokenAnswer, 'detailsOtherwise'>,
): TokenSet['authorizationDetails'] {
  const parsed = MaybeDetails.safeParse(said);
  return (parsed.success ? parsed.data : undefined) ?? detailsOtherwise;
}

/**
 * Scopes as this provider separates them; what is no scope is left out rather than losing the token over it.
 *
 * A scope that is absent, or names nothing, says that nothing changed.
 *
 * @source RFC 6749 §5.1
 */
function scopesFrom(
  scope: string | undefined,
  { provider, scopesOtherwise }: Pick<TokenAnswer, 'provider' | 'scopesOtherwise'>,
): string[] {
  const separator = provider.scopeSeparator === ',' ? /[\s,]+/ : /\s+/;
  const words = new Set((scope ?? '').split(separator));
  words.delete('');
  const named = [...words].filter((text) => Scope.safeParse(text).success);
  return named.length === 0 ? [...scopesOtherwise] : named.slice(0, limits.scopesMax);
}

function expiresAtMs(expiresInS: number | null, sentAtMs: number): number | null {
  if (expiresInS === null) return null;
  return Math.floor(sentAtMs + Math.min(expiresInS, expiresInSMax) * 1000);
}

/**
 * An answer of a token endpoint in the standard's own form, where what it means is beyond doubt.
 *
 * Refusing an answer over its form loses the only copy of a rotated refresh token, so a sloppy spelling is mended:
 * members that are `null`, a list of scopes, a lifetime as text, a missing token type. What would change the meaning
 * (another token type, an ID token that is none) is left for the checks that follow.
 *
 * @param body a JSON object
 */
export function standardAnswer(body: object, provider: Provider): Record<string, unknown> {
  const { token_type: type = 'bearer', expires_in: expiresIn, scope, ...rest } = withoutNulls(body);
  const lifetimeS = lifetimeSOf(expiresIn, provider);
  const scopes: unknown = Array.isArray(scope) ? scope.join(' ') : scope;
  const isBearer = typeof type === 'string' && provider.bearerTokenTypes.includes(type.toLowerCase());
  return {
    ...rest,
    token_type: isBearer ? 'bearer' : type,
    ...(lifetimeS !== null && { expires_in: lifetimeS }),
    ...(typeof scopes === 'string' && { scope: scopes }),
  };
}

/**
 * The lifetime in seconds, in the unit that the provider's file names.
 *
 * @returns null, so that the file's default counts, for what is no lifetime and for what is longer than any token of
 *   this provider lives: a token refreshed early costs a call, one believed too long costs failing ones.
 */
function lifetimeSOf(expiresIn: unknown, { expiresIn: known }: Provider): number | null {
  const number = typeof expiresIn === 'string' && expiresIn.trim() !== '' ? Number(expiresIn) : expiresIn;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return null;
  const seconds = known?.unit === 'ms' ? number / 1000 : number;
  return known !== null && seconds > known.maxS ? null : seconds;
}

function withoutNulls(body: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/**
 * Takes members that are `null` out of a JSON answer: several providers write them where the standard leaves them out.
 *
 * @returns the answer itself when it is no JSON object.
 */
export async function withoutNullMembers(response: Response): Promise<Response> {
  const text = await response.text();
  const { status, headers } = response;
  const body = objectIn(text);
  return new Response(body === undefined ? text : JSON.stringify(withoutNulls(body)), { status, headers });
}

/**
 * Is this answer meant to be JSON? A page of a proxy in between, whatever stands in it, brings neither tokens nor a
 * verdict.
 */
export function callsItselfJson({ headers }: Pick<Response, 'headers'>): boolean {
  return /json|javascript/i.test(headers.get('content-type') ?? '');
}

/**
 * The tokens in an answer, as its JSON object; undefined where it brings none.
 *
 * @param lift puts them where the standard has them, at a provider that has them elsewhere
 */
export function tokensIn(text: string, lift: (body: object) => object): object | undefined {
  const found = objectIn(text);
  const body = found === undefined ? undefined : lift(found);
  return body !== undefined && 'access_token' in body && typeof body.access_token === 'string' ? body : undefined;
}

function objectIn(text: string): object | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? body : undefined;
  } catch {
    return undefined;
  }
}
