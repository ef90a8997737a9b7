import type {
  AuthorizationDetailsDigest,
  AuthorizationDetailsGranted,
  Delegation,
  Grant,
  SenderConstraint,
} from '@postern/contracts';

import type { DataOf } from './events.ts';

/**
 * A connection's state has four axes: authorization × claim × suspension × health. What people see (`labelOf`) is
 * derived from them.
 *
 * authorization  none → pending → authorized ⇄ reauthorization_required, any of these → revoked → authorized (in
 *                place, by a new session), and from anywhere → deleted, which is for ever. `moved` is between the
 *                two events of a move to another epoch: the opening goes on in what it was.
 * claim          one worker's right to spend the refresh token of one credential version. It ends with its outcome, a
 *                re-authorization, a revocation or a deletion, and by time alone never: whoever finds it over says so
 *                (`interruptRefresh`), so that the log tells what happened.
 * suspension     refuses leases and new claims, and touches nothing else.
 * health         whether the last attempt to refresh succeeded.
 *
 * Before the first event texts are empty and times zero; afterwards null stands for "none".
 */
export interface Connection {
  readonly tenantId: string;
  readonly connectionId: string;
  readonly platformId: string;
  readonly providerId: string;
  /** The client registration to which the credential was issued. */
  readonly registrationId: string;
  /** Keyed digest of the platform's own user, for whom alone a session may be completed; empty where there is none. */
  readonly endUserDigest: string;
  readonly returnUrl: string;
  readonly createdAtMs: number;
  readonly authorization: Authorization;
  readonly session: OpenSession | null;
  /** The newest ended sessions, oldest first, so that a stranger's and yesterday's session can be told apart. */
  readonly pastSessions: readonly PastSession[];
  /** Kept after a revocation: the provider must still be told about it. */
  readonly credential: Credential | null;
  readonly claim: Claim | null;
  readonly interrupted: Interrupted | null;
  readonly suspended: boolean;
  readonly health: Health;
  readonly reauthorizationCause: string | null;
  /** The provider's word that made a re-authorization necessary. */
  readonly evidence: string | null;
  readonly revokedAtMs: number | null;
  readonly revocationCause: string | null;
  readonly upstreamRevocation: null | 'pending' | 'completed' | 'failed';
  readonly keyShredded: boolean;
}

/** `none` is a connection without events. */
export type Authorization =
  | 'none'
  | 'pending'
  | 'authorized'
  | 'reauthorization_required'
  | 'revoked'
  | 'deleted'
  | 'moved';

/** A connect session that may still be completed. At most one: a newer one supersedes it. */
export interface OpenSession {
  readonly sessionId: string;
  readonly purpose: 'connect' | 'reauthorize';
  readonly registrationId: string;
  readonly requestedScopes: string[];
  readonly returnUrl: string;
  readonly endUserDigest: string;
  readonly expiresAtMs: number;
  /** `polling`: the provider is being asked whether the end user has authorized on another device. */
  readonly stage: 'started' | 'polling' | 'exchanging';
  /** Of the provider's file; absent in sessions of before there were pins. */
  readonly providerVersion?: number | undefined;
  /** Only where it is not by an authorization code. */
  readonly grant?: Grant | undefined;
  /** Only where it is to be had in exchange for tokens of these. */
  readonly delegation?: Delegation | undefined;
  /** Only where authorization details are asked for. @source RFC 9396 §2 */
  readonly authorizationDetails?: AuthorizationDetailsDigest | undefined;
  /** Only once the provider gave a device code: who asks about it, until when, and how often. @source RFC 8628 §3.5 */
  readonly device?: DevicePolling | undefined;
  /** Only once it gave tokens for it, of which no browser brings word: what a completion records of them. */
  readonly granted?: Omit<DataOf<'DeviceAuthorizationGranted'>, 'sessionId'> | undefined;
}

/** The right to ask about one device code. */
export interface DevicePolling {
  readonly pollerId: string;
  readonly pollingUntilMs: number;
  readonly intervalS: number;
  /** Of the device code. */
  readonly expiresAtMs: number;
}

/** How a session ended. `revoked` also stands for the end by a deletion. */
export interface PastSession {
  readonly sessionId: string;
  readonly ended: 'completed' | 'denied' | 'superseded' | 'revoked';
}

/** What is known of the sealed token set that the vault holds under this version. */
export interface Credential {
  readonly version: number;
  readonly grantedScopes: string[];
  /** Null where the provider names no end. */
  readonly accessTokenExpiresAtMs: number | null;
  readonly hasRefreshToken: boolean;
  readonly accountDigest: string | null;
  /** Only where the provider names the account by more than an ID token. */
  readonly accountKeys?: Readonly<Record<string, string>> | undefined;
  readonly authorizedAtMs: number;
  readonly refreshedAtMs: number | null;
  /** The session or claim that brought it. */
  readonly boughtBy: string;
  /** Only where a refresh ends the access token of before, or may: leases then end with the planned refresh. */
  readonly endedByRefresh?: DataOf<'ConnectionAuthorized'>['endedByRefresh'];
  /** The pin: the version of the provider's file that the authorization was made with. */
  readonly providerVersion?: number | undefined;
  /** How it was had, where that was not by an authorization code. */
  readonly grant?: Grant | undefined;
  /** Only where its tokens are bound to a key that the vault has: they are not leased. */
  readonly senderConstrained?: SenderConstraint | undefined;
  /** Only where it was had in exchange for tokens of these: it is worth no more than they are. */
  readonly delegation?: Delegation | undefined;
  /** Only where nobody but a person can replace it: when its owner is reminded to. */
  readonly rotateAtMs?: number | undefined;
  /** Only where authorization details were granted or asked for. @source RFC 9396 §7 */
  readonly authorizationDetails?: AuthorizationDetailsGranted | undefined;
  /** Only once the owner was told that the provider ends the authorization then, whatever we do. */
  readonly authorizationEndsAtMs?: number | undefined;
  /** Only once the provider's API wanted more than was granted: what, as far as it said so. */
  readonly missingScopes?: readonly string[] | undefined;
  /** Only once the provider's API wanted other claims: the next authorization asks for them. */
  readonly requiredClaims?: string | undefined;
  /** Only once a signal ended it, or hinted that it ended: about which version, and where the signal stands. */
  readonly signal?: DecidingSignal | undefined;
  /** Only once its refresh token was shown to the provider though nobody suspected it: when that was last. */
  readonly inspectedAtMs?: number | undefined;
  /** Only once its owner was reminded to replace it. */
  readonly rotationDueSinceMs?: number | undefined;
}

/**
 * A credential with what was learned of it since it was bought, always in the same order: the state is compared byte for
 * byte, and carried into the next epoch in the order of its schema.
 */
export function learned(
  credential: Credential,
  more: Pick<
    Partial<Credential>,
    'authorizationEndsAtMs' | 'missingScopes' | 'requiredClaims' | 'signal' | 'inspectedAtMs' | 'rotationDueSinceMs'
  >,
): Credential {
  const all = { ...credential, ...more };
  const { authorizationEndsAtMs, missingScopes, requiredClaims, signal, inspectedAtMs, rotationDueSinceMs, ...bought } =
    all;
  return {
    ...bought,
    ...(authorizationEndsAtMs !== undefined && { authorizationEndsAtMs }),
    ...(missingScopes !== undefined && { missingScopes }),
    ...(requiredClaims !== undefined && { requiredClaims }),
    ...(signal !== undefined && { signal }),
    ...(inspectedAtMs !== undefined && { inspectedAtMs }),
    ...(rotationDueSinceMs !== undefined && { rotationDueSinceMs }),
  };
}

/** The signal that ended a credential, or made it suspected. */
export interface DecidingSignal {
  readonly credentialVersion: number;
  /** On SIGNALS. */
  readonly position: number;
  /** Only once the provider said that the grant lives. */
  readonly disprovedAtMs?: number | undefined;
}

/** The right to spend the refresh token of one credential version, once. */
export interface Claim {
  readonly claimId: string;
  readonly credentialVersion: number;
  readonly expiresAtMs: number;
  /** Whether the vault gave the refresh token away; while false, certainly nothing was sent. */
  readonly released: boolean;
}

/** Claims of this version whose outcome is unknown: a late answer of one is welcome while the version is current. */
export interface Interrupted {
  readonly credentialVersion: number;
  readonly claimIds: readonly string[];
  /** Only where the retry comes before the access token's end. */
  readonly retryAtMs?: number | undefined;
}

/** How refreshing goes. */
export interface Health {
  readonly status: 'ok' | 'degraded';
  readonly reason: string | null;
  readonly failingSinceMs: number | null;
  readonly nextAttemptAtMs: number | null;
}

/** Nothing fails. */
export const healthy: Health = Object.freeze({
  status: 'ok',
  reason: null,
  failingSinceMs: null,
  nextAttemptAtMs: null,
});

/** How many ended sessions are remembered: a bound on the state's size, above what one user opens in a session's time. */
export const pastSessionsMax = 8;

/** A connection of which nothing is known. */
export const noConnection: Connection = Object.freeze({
  tenantId: '',
  connectionId: '',
  platformId: '',
  providerId: '',
  registrationId: '',
  endUserDigest: '',
  returnUrl: '',
  createdAtMs: 0,
  authorization: 'none',
  session: null,
  pastSessions: [],
  credential: null,
  claim: null,
  interrupted: null,
  suspended: false,
  health: healthy,
  reauthorizationCause: null,
  evidence: null,
  revokedAtMs: null,
  revocationCause: null,
  upstreamRevocation: null,
  keyShredded: false,
});
