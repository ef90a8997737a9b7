import type { DeviceCode, TokenSet } from '@postern/contracts';
import type { NamedAccount } from '@postern/provider-catalog';

/** The provider said no to the code or the refresh token: trying again is useless. */
export interface Rejected {
  readonly kind: 'rejected';
  /** The provider's `error`, verbatim. */
  readonly error: string;
  readonly errorDescription: string | null;
  readonly httpStatus: number;
}

/** The provider said no to us, the client, or cannot be asked as we are configured: the grant may be as alive as ever. */
export interface ClientRejected {
  readonly kind: 'client_rejected';
  readonly error: string;
  readonly errorDescription: string | null;
  readonly httpStatus: number | null;
}

/** No verdict: the network, the provider's own trouble, or an answer that is none. */
export interface Failed {
  readonly kind: 'failed';
  /** The provider's `error`, or ours: `timeout`, `unreachable`, `interrupted`, `redirected`, `too_large`, … */
  readonly error: string;
  readonly errorDescription: string | null;
  readonly httpStatus: number | null;
  /** What the provider asked for with `Retry-After`, at most {@link retryAfterMsMax}. */
  readonly retryAfterMs: number | null;
  /** Whether a one-time code or refresh token may count as spent. */
  readonly mayHaveBeenProcessed: boolean;
}

export type Refusal = Rejected | ClientRejected | Failed;

/** The account that authorized, where the provider names one: unique within its issuer. */
export interface ProviderAccount {
  readonly issuer: string;
  readonly subject: string;
}

/** A code was exchanged. */
export interface Exchanged {
  readonly kind: 'exchanged';
  readonly tokenSet: TokenSet;
  readonly account: ProviderAccount | null;
  /** The account by the keys of the provider's file, by which a signal about it will name it. */
  readonly accountKeys: readonly NamedAccount[];
}

/** A refresh token was spent. */
export interface Refreshed {
  readonly kind: 'refreshed';
  readonly tokenSet: TokenSet;
  /** The provider replaced the refresh token. */
  readonly rotated: boolean;
}

/** What the provider said when it was told that a token is over. */
export type RevokeOutcome =
  | { readonly kind: 'revoked' }
  | {
      readonly kind: 'failed';
      readonly error: string;
      readonly httpStatus: number | null;
      readonly retryable: boolean;
      readonly retryAfterMs: number | null;
    };

/** What the provider said of a token when it was asked. */
export type IntrospectOutcome =
  | {
      readonly kind: 'active';
      readonly scopes: readonly string[] | null;
      readonly expiresAtMs: number | null;
      readonly subject: string | null;
      /** To which certificate it is bound, where the answer says so. @source RFC 8705 §3.2 */
      readonly x5tS256: string | null;
    }
  | { readonly kind: 'inactive' }
  | {
      readonly kind: 'failed';
      readonly error: string;
      readonly httpStatus: number | null;
      readonly retryable: boolean;
      readonly retryAfterMs: number | null;
    };

/** What the provider's API said of an access token. */
export type ProbeOutcome =
  | {
      readonly kind: 'alive' | 'dead';
      /** The word of the provider's file that decided, where a word did. */
      readonly error: string | null;
      readonly httpStatus: number;
    }
  | Extract<RevokeOutcome, { kind: 'failed' }>;

/** Longer than this nobody is waited for. */
export const retryAfterMsMax = 24 * 3_600_000;

/** The provider has a user code for us. @source RFC 8628 §3.2 */
export interface DeviceAuthorized {
  readonly kind: 'device_authorized';
  readonly deviceCode: DeviceCode;
  /** Between two questions; 5 where the provider names none. */
  readonly intervalS: number;
}

/** The end user has not decided yet. @source RFC 8628 §3.5 */
export interface Undecided {
  readonly kind: 'undecided';
  /** We ask too often. */
  readonly slowDown: boolean;
}
