import { z } from 'zod';

import { AuthorizationDetailsDigest, AuthorizationDetailsGranted } from './authorization-details.ts';
import { Delegation, Grant, SenderConstraint } from './grants.ts';
import { ClaimId, ConnectionId, PlatformId, RegistrationId, SessionId, TenantId } from './ids.ts';
import { ProviderVersion, TimeMs } from './wire.ts';

const CredentialVersion = z.number().int().positive();

/** What a connection's authorization can be when an epoch closes; `none` has nothing to carry. */
export const CarriedAuthorization = z.enum(['pending', 'authorized', 'reauthorization_required', 'revoked', 'deleted']);

const Session = z.strictObject({
  sessionId: SessionId,
  purpose: z.enum(['connect', 'reauthorize']),
  registrationId: RegistrationId,
  requestedScopes: z.array(z.string()),
  returnUrl: z.string(),
  endUserDigest: z.string(),
  expiresAtMs: TimeMs,
  stage: z.enum(['started', 'polling', 'exchanging']),
  providerVersion: ProviderVersion.optional(),
  grant: Grant.optional(),
  delegation: Delegation.optional(),
  authorizationDetails: AuthorizationDetailsDigest.optional(),
  device: z
    .strictObject({
      pollerId: z.string(),
      pollingUntilMs: TimeMs,
      intervalS: z.number().int().positive(),
      expiresAtMs: TimeMs,
    })
    .optional(),
  granted: z
    .strictObject({
      accountDigest: z.string().nullable(),
      accountKeys: z.record(z.string(), z.string()).optional(),
      senderConstrained: SenderConstraint.optional(),
    })
    .optional(),
});

const PastSession = z.strictObject({
  sessionId: SessionId,
  ended: z.enum(['completed', 'denied', 'superseded', 'revoked']),
});

/** What is known, when an authorization is given, of a provider whose refresh ends the access token of before. */
export const EndedByRefresh = z.strictObject({
  /** The schedule refreshes no earlier than this before the access token's end. */
  leadMs: z.number().int().nonnegative(),
  /** How long the access token lives on after that. */
  graceMs: z.number().int().nonnegative(),
});

const Credential = z.strictObject({
  version: CredentialVersion,
  grantedScopes: z.array(z.string()),
  accessTokenExpiresAtMs: TimeMs.nullable(),
  hasRefreshToken: z.boolean(),
  accountDigest: z.string().nullable(),
  accountKeys: z.record(z.string(), z.string()).optional(),
  authorizedAtMs: TimeMs,
  refreshedAtMs: TimeMs.nullable(),
  boughtBy: z.union([SessionId, ClaimId]),
  endedByRefresh: EndedByRefresh.optional(),
  providerVersion: ProviderVersion.optional(),
  grant: Grant.optional(),
  senderConstrained: SenderConstraint.optional(),
  delegation: Delegation.optional(),
  rotateAtMs: TimeMs.optional(),
  authorizationDetails: AuthorizationDetailsGranted.optional(),
  authorizationEndsAtMs: TimeMs.optional(),
  missingScopes: z.array(z.string()).optional(),
  requiredClaims: z.string().optional(),
  signal: z
    .strictObject({
      credentialVersion: CredentialVersion,
      position: z.number().int().positive(),
      disprovedAtMs: TimeMs.optional(),
    })
    .optional(),
  inspectedAtMs: TimeMs.optional(),
  rotationDueSinceMs: TimeMs.optional(),
});

const Claim = z.strictObject({
  claimId: ClaimId,
  credentialVersion: CredentialVersion,
  expiresAtMs: TimeMs,
  released: z.boolean(),
});

const Health = z.strictObject({
  status: z.enum(['ok', 'degraded']),
  reason: z.string().nullable(),
  failingSinceMs: TimeMs.nullable(),
  nextAttemptAtMs: TimeMs.nullable(),
});

/**
 * A connection's whole state, as the opening of an epoch carries it: every field in the state's own order, so that
 * what is restored is the same byte for byte, and none besides.
 *
 * It is the data of an event, which is for ever: when the state's shape changes otherwise than by an optional field,
 * `EpochOpened` rises by a version and an upcaster lifts what older openings carry. Lengths are bounded by the commit's.
 */
export const CarriedConnection = z.strictObject({
  tenantId: TenantId,
  connectionId: ConnectionId,
  platformId: PlatformId,
  providerId: z.string(),
  registrationId: RegistrationId,
  endUserDigest: z.string(),
  returnUrl: z.string(),
  createdAtMs: TimeMs,
  authorization: CarriedAuthorization,
  session: Session.nullable(),
  pastSessions: z.array(PastSession),
  credential: Credential.nullable(),
  claim: Claim.nullable(),
  interrupted: z
    .strictObject({
      credentialVersion: CredentialVersion,
      claimIds: z.array(ClaimId),
      retryAtMs: TimeMs.optional(),
    })
    .nullable(),
  suspended: z.boolean(),
  health: Health,
  reauthorizationCause: z.string().nullable(),
  evidence: z.string().nullable(),
  revokedAtMs: TimeMs.nullable(),
  revocationCause: z.string().nullable(),
  upstreamRevocation: z.enum(['pending', 'completed', 'failed']).nullable(),
  keyShredded: z.boolean(),
});
export type CarriedConnection = z.infer<typeof CarriedConnection>;
