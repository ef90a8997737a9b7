import type { ProfileAnswer } from './profile.ts';

/** What an assertion says, as far as anybody looks. @source RFC 7523 §3 */
export interface AssertionClaims {
  readonly iss?: string;
  readonly sub?: string;
  readonly aud?: unknown;
  readonly iat?: number;
  readonly exp?: number;
  readonly scope?: string;
}

/** Why an assertion is not taken. */
export type AssertionRefusal =
  | 'client'
  | 'signature'
  | 'audience'
  | 'time'
  | 'subject'
  | 'not_approved'
  | 'scope'
  | 'request';

/** What was asked for with an assertion that is in order. */
export interface AssertedTokens {
  readonly accessToken: string;
  readonly scopes: readonly string[];
}

/**
 * What one provider does with the assertions of a key that it knows; written, as its profile is, from its documents.
 *
 * @source RFC 7523 §2.1
 */
export interface AssertionProfile {
  readonly id: string;
  readonly name: string;
  /** The catalog's provider that has to get along with it. */
  readonly provider: string;
  /** Where it is from. */
  readonly documents: readonly string[];
  readonly client: {
    readonly parameters?: Readonly<Record<string, string>>;
    /** How it names the client whose key it is, the first as 1. */
    readonly clientId: (number: number) => string;
  };
  readonly token: { readonly at: string };
  /** The only one that is taken. */
  readonly audience: string;
  /** Between `iat` (where there is one, else now) and `exp`. */
  readonly assertionTtlSMax: number;
  /** For whom its administrator approved the client. */
  readonly subject: string;
  /** Must somebody be named? Otherwise the client may ask for itself. */
  readonly wantsSubject: boolean;
  /**
   * Where scopes are named: in the assertion, which must name some, or nowhere, since they were chosen where the client was
   * approved; and those that were approved.
   */
  readonly scopes: { readonly from: 'claim' | 'approval'; readonly approved: readonly string[] };
  /** Null: until it is revoked. */
  readonly accessTokenTtlS: number | null;
  readonly tokenAnswer: (tokens: AssertedTokens) => object;
  readonly refusal: (why: AssertionRefusal) => ProfileAnswer;
  /** A call of the API that shows whether a token is alive. */
  readonly api: { readonly at: string; readonly alive: unknown; readonly dead: ProfileAnswer };
  /** Where it is told that a token is over; null where it cannot be. */
  readonly revocation: { readonly at: string } | null;
}
