import type { ApiFile } from './api-file.ts';
import { itemsAt } from './member-path.ts';

/** What is known of a provider's API, as far as it tells of tokens. */
export interface ProviderApi {
  /** Null where no call is known that would tell. */
  readonly tokenProbe: TokenProbe | null;
  readonly errors: readonly ApiErrorRow[];
}

export interface TokenProbe {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly alive: readonly ApiAnswerRow[];
  readonly dead: readonly ApiAnswerRow[];
}

export interface ApiAnswerRow {
  readonly httpStatus: number;
  readonly member: string | null;
  readonly words: readonly string[] | null;
  readonly challenge: string | null;
}

export interface ApiErrorRow {
  readonly words: readonly string[];
  readonly means: 'token_rejected' | 'scope_missing';
}

/** An answer of an API, as it is weighed. */
export interface ApiAnswer {
  readonly httpStatus: number;
  /** Parsed JSON; undefined when it was none. */
  readonly body: unknown;
  /** The `error` of its challenge; null where it has none. */
  readonly challenge: string | null;
}

/** How a provider's API refused a token. */
export interface ApiRefusal {
  readonly httpStatus: number;
  /** The error word of the body; null where there is none. */
  readonly error: string | null;
  /** The same of the challenge. @source RFC 6750 §3.1 */
  readonly challenge: string | null;
}

/** What a refusal means, and the known word that says so; null where the status alone does. */
export interface RefusalMeaning {
  readonly means: 'token_rejected' | 'scope_missing' | 'claims_missing' | 'no_verdict';
  readonly word: string | null;
}

/** @source RFC 6750 §3.1, and Microsoft's claims challenge */
const generalWords: Readonly<Record<string, RefusalMeaning['means']>> = Object.freeze({
  insufficient_scope: 'scope_missing',
  insufficient_claims: 'claims_missing',
  invalid_token: 'token_rejected',
});

/** @internal */
export function apiFrom(file: ApiFile | undefined): ProviderApi {
  const probe = file?.token_probe?.value;
  const rows = (answers: NonNullable<typeof probe>['alive']): ApiAnswerRow[] =>
    answers.map(({ http_status: httpStatus, member, words, challenge }) => ({
      httpStatus,
      member: member ?? null,
      words: words ?? null,
      challenge: challenge ?? null,
    }));
  return {
    tokenProbe:
      probe === undefined
        ? null
        : { method: probe.method, url: probe.url, alive: rows(probe.alive), dead: rows(probe.dead) },
    errors: (file?.errors ?? []).map(({ value }) => value),
  };
}

/**
 * What the answer to a probe says of the token.
 *
 * @returns `error` is the word that made it dead, where a word did; `unclear` for every answer that nobody announced.
 */
export function classifyProbe(
  { alive, dead }: TokenProbe,
  answer: ApiAnswer,
): { readonly verdict: 'alive' | 'dead' | 'unclear'; readonly error: string | null } {
  for (const row of dead) {
    const words = wordsOf(row, answer);
    if (words !== undefined) return { verdict: 'dead', error: words };
  }
  const lives = alive.some((row) => wordsOf(row, answer) !== undefined);
  return { verdict: lives ? 'alive' : 'unclear', error: null };
}

/** @returns undefined when the row does not fit; null when it fits without a word. */
function wordsOf({ httpStatus, member, words, challenge }: ApiAnswerRow, answer: ApiAnswer): string | null | undefined {
  if (answer.httpStatus !== httpStatus) return undefined;
  if (challenge !== null && answer.challenge !== challenge) return undefined;
  if (member === null) return challenge;
  const found = itemsAt(answer.body, member).find((text) => words === null || words.includes(text));
  return found === undefined || words !== null ? found : null;
}

/**
 * What it means that an API refused a token: first by the provider's own words, then by RFC 6750, then by the status.
 *
 * `insufficient_claims` asks for an authorization with the claims that stand beside it (OpenID Connect Core 1.0 §5.5).
 * A 403 without a word that is known here may be about anything, and is no verdict.
 *
 * @source RFC 6750 §3.1
 */
export function refusalMeaningOf(
  { errors }: ProviderApi,
  { httpStatus, error, challenge }: ApiRefusal,
): RefusalMeaning {
  const said = [challenge, error].filter((word) => word !== null);
  for (const word of said) {
    const own = errors.find(({ words }) => words.includes(word));
    if (own !== undefined) return { means: own.means, word };
  }
  for (const word of said) {
    const means = Object.hasOwn(generalWords, word) ? generalWords[word] : undefined;
    if (means !== undefined) return { means, word };
  }
  return { means: httpStatus === 401 ? 'token_rejected' : 'no_verdict', word: null };
}
