import { limits, Scope, TokenSet, type Renewal } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

import type { GuardedFetch } from './guarded-fetch.ts';
import type { Refreshed, Refusal } from './outcomes.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { providerWords } from './provider-words.ts';
import { retryAfterMsOf } from './refusal.ts';
import { callsItselfJson } from './token-answer.ts';

/** What the vault signed for one call. */
export interface ShownAssertion {
  readonly assertion: Secret;
}

interface InstallationCall {
  /** Below which each installation has an endpoint of its own. */
  readonly endpoint: string;
  readonly renewal: Renewal & { readonly grant: 'installation' };
  /** A JWT of the app's key. */
  readonly assertion: Secret;
  readonly fetch: GuardedFetch;
  readonly nowMs: number;
}

/**
 * Asks for a token of an app's installation, narrowed to repositories and permissions where that is wanted; what the token
 * may do stands in its scopes as `permission:level`, in the words of the answer.
 *
 * A token that may do more than was asked for is not taken.
 *
 * @throws {ProviderCallError} without an answer, or with one that cannot be kept
 * @source https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
 * @internal
 */
export async function askForInstallationToken(call: InstallationCall): Promise<Refreshed | Refusal> {
  const { endpoint, renewal, assertion, fetch, nowMs } = call;
  const { installation_id: id, repositories, permissions } = renewal;
  const response = await fetch(`${endpoint}/${id}/access_tokens`, {
    method: 'POST',
    headers: {
      accept: 'application/vnd.github+json',
      authorization: `Bearer ${assertion.reveal()}`,
      'content-type': 'application/json',
      'user-agent': 'postern',
      'x-github-api-version': '2022-11-28',
    },
    body: JSON.stringify({ repositories, permissions }),
  });
  const body = await jsonOf(response);
  if (response.status !== 201) return refusalOf(response, body, { assertion, nowMs });
  const invalid = new ProviderCallError('invalid_answer', { httpStatus: response.status });
  const { token, expires_at: expiresAt, permissions: had = {} } = (body ?? {}) as Readonly<Record<string, unknown>>;
  const levelsHad = Object.entries(had as object).map(([name, level]) => [name, String(level)] as const);
  if (typeof token !== 'string' || !/^[!-~]+$/.test(token) || isWider(levelsHad, permissions)) throw invalid;
  const scopes = levelsHad.map(([name, level]) => `${name}:${level}`);
  const tokenSet = TokenSet.safeParse({
    accessToken: token,
    tokenType: 'Bearer',
    refreshToken: null,
    accessTokenExpiresAtMs: typeof expiresAt === 'string' ? Date.parse(expiresAt) : NaN,
    grantedScopes: scopes.filter((scope) => Scope.safeParse(scope).success).slice(0, limits.scopesMax),
    renewal,
  });
  if (!tokenSet.success) throw invalid;
  return { kind: 'refreshed', tokenSet: tokenSet.data, rotated: false };
}

const levels = ['read', 'write', 'admin'];

/** To read what an app may see at all (`metadata`) goes with every permission. */
function isWider(
  had: readonly (readonly [string, string])[],
  asked: Readonly<Record<string, string>> | undefined,
): boolean {
  if (asked === undefined) return false;
  return had.some(([name, level]) => {
    const wanted = asked[name] ?? (name === 'metadata' ? 'read' : undefined);
    return wanted === undefined || !levels.includes(level) || levels.indexOf(level) > levels.indexOf(wanted);
  });
}

/** What is not known of the app is ours to mend; an installation that is gone or suspended is over. */
function refusalOf(
  response: Response,
  body: unknown,
  { assertion, nowMs }: Pick<InstallationCall, 'assertion' | 'nowMs'>,
): Refusal {
  const { status: httpStatus } = response;
  const { errorDescription } = providerWords(body, null, [assertion]);
  const words = { error: errors[httpStatus] ?? `http_${httpStatus}`, errorDescription };
  const isSuspended = httpStatus === 403 && /suspended/i.test(errorDescription ?? '');
  if (isSuspended) return { kind: 'rejected', ...words, error: 'installation_suspended', httpStatus };
  if (httpStatus === 404 || httpStatus === 422) return { kind: 'rejected', ...words, httpStatus };
  if (httpStatus === 401) return { kind: 'client_rejected', ...words, httpStatus };
  const retryAfterMs = retryAfterMsOf(response.headers.get('retry-after'), nowMs);
  return { kind: 'failed', ...words, httpStatus, retryAfterMs, mayHaveBeenProcessed: false };
}

const errors: Readonly<Record<number, string>> = Object.freeze({
  401: 'app_unknown',
  404: 'installation_not_found',
  422: 'permissions_not_granted',
});

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return callsItselfJson(response) ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}
