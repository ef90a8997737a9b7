/**
 * What an answer of a token endpoint without a token set means.
 *
 * `rejected`: the code or refresh token is dead, only the end user can help. `ours_to_mend`: our client, its secret or
 * its configuration is wrong, an operator can help and the grant may be as alive as ever. `passes`: trouble that says
 * nothing of either.
 */
export type AnswerMeaning = 'rejected' | 'ours_to_mend' | 'passes';

/** One row: an answer that looks like this means that. */
export interface AnswerRow {
  /** First and last HTTP status to which the row speaks. */
  readonly httpStatus: readonly [first: number, last: number];
  /** Where in the body the words stand; null: the status alone decides. */
  readonly member: string | null;
  readonly words: readonly string[];
  /** `exact`: the member, or one of its texts, is one of the words. `contains`: one of the words stands in it. */
  readonly match: 'exact' | 'contains';
  readonly means: AnswerMeaning;
  /** May the provider have done what was asked, so that a one-time token counts as spent? */
  readonly mayBeSpent: boolean;
  /** For people who read the table. */
  readonly why: string;
}

/** An answer as it is weighed. */
export interface TokenAnswer {
  readonly httpStatus: number;
  /** Parsed JSON; undefined when it was none. */
  readonly body: unknown;
}

/** The row that decided, and what the provider wrote at the place to which it points. */
export interface Classified {
  readonly row: AnswerRow;
  readonly words: string | null;
}

const byStatus = (first: number, last: number): Pick<AnswerRow, 'httpStatus' | 'member' | 'words' | 'match'> => ({
  httpStatus: [first, last],
  member: null,
  words: [],
  match: 'exact',
});
const byError = (...words: string[]): Pick<AnswerRow, 'httpStatus' | 'member' | 'words' | 'match'> => ({
  httpStatus: [400, 499],
  member: 'error',
  words,
  match: 'exact',
});

/**
 * The general rule, below every provider's own rows: the first row that fits decides, and the last always fits.
 *
 * Only a 4xx that names one of the words for it is a verdict. Taking a page of a proxy in between, or an error nobody
 * announced, for a dead grant would send an end user to authorize again for nothing.
 *
 * @source RFC 6749 §5.2, RFC 9110 §15
 */
export const generalAnswers: readonly AnswerRow[] = Object.freeze([
  { ...byStatus(503, 503), means: 'passes', mayBeSpent: false, why: 'the provider takes no requests now' },
  { ...byStatus(500, 599), means: 'passes', mayBeSpent: true, why: 'the provider has trouble of its own' },
  { ...byStatus(408, 408), means: 'passes', mayBeSpent: false, why: 'the request came too slowly' },
  { ...byStatus(425, 425), means: 'passes', mayBeSpent: false, why: 'the request came too early' },
  { ...byStatus(429, 429), means: 'passes', mayBeSpent: false, why: 'we ask too often; Retry-After is a floor' },
  { ...byError('invalid_grant'), means: 'rejected', mayBeSpent: false, why: 'the code or refresh token is dead' },
  {
    ...byError('invalid_client', 'unauthorized_client'),
    means: 'ours_to_mend',
    mayBeSpent: false,
    why: 'the provider does not accept our client',
  },
  {
    ...byError('invalid_request', 'invalid_scope', 'unsupported_grant_type'),
    means: 'ours_to_mend',
    mayBeSpent: false,
    why: 'we asked for something this client may not ask for',
  },
  { ...byStatus(401, 401), means: 'ours_to_mend', mayBeSpent: false, why: 'our client was not authenticated' },
  { ...byStatus(404, 405), means: 'ours_to_mend', mayBeSpent: false, why: 'there is no token endpoint at this place' },
  { ...byStatus(400, 499), means: 'passes', mayBeSpent: false, why: 'refused for a reason nobody announced' },
  { ...byStatus(100, 599), means: 'passes', mayBeSpent: true, why: 'an answer that is none' },
]);

/**
 * Weighs an answer by the provider's own rows, then by the general rule.
 *
 * @param rows of the provider, most particular first
 */
export function classifyAnswer(answer: TokenAnswer, rows: readonly AnswerRow[]): Classified {
  for (const row of [...rows, ...generalAnswers]) {
    const words = wordsAt(row, answer);
    if (words !== undefined) return { row, words };
  }
  throw new RangeError(`no HTTP status: ${answer.httpStatus}`);
}

/** @returns undefined when the row does not fit; null when the status alone made it fit. */
function wordsAt({ httpStatus, member, words, match }: AnswerRow, answer: TokenAnswer): string | null | undefined {
  const [first, last] = httpStatus;
  if (answer.httpStatus < first || answer.httpStatus > last) return undefined;
  if (member === null) return null;
  const fits = (text: string) => words.some((word) => (match === 'exact' ? text === word : text.includes(word)));
  return textsAt(answer.body, member).find(fits);
}

function textsAt(body: unknown, member: string): string[] {
  if (typeof body !== 'object' || body === null || !Object.hasOwn(body, member)) return [];
  const value: unknown = Reflect.get(body, member);
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((text): text is string => typeof text === 'string');
}
