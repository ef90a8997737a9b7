import { z } from 'zod';

import { AuthorizationDetailsDigest, AuthorizationDetailsGranted } from './authorization-details.ts';
import { CarriedAuthorization, CarriedConnection, EndedByRefresh } from './carried-connection.ts';
import { Delegation, Grant, SenderConstraint } from './grants.ts';
import { ClaimId, PlatformId, RegistrationId, SessionId } from './ids.ts';
import { limits } from './limits.ts';
import { RequiredClaims } from './required-claims.ts';
import { SignalEvidence } from './signal.ts';
import { Capability, ProviderVersion, Scopes, TimeMs } from './wire.ts';

const ProviderWords = z.string().max(limits.providerWordsCharsMax);
const Reason = z.string().max(limits.reasonCharsMax);
const Capabilities = z.array(Capability).max(limits.capabilitiesMax);
const CredentialVersion = z.number().int().positive();
const Digest = z.string().max(64);
/** Keyed digests by which signals find the account, by the name of the key in the provider's file. */
const AccountKeys = z.record(z.string().max(32), Digest);
const Epoch = z.number().int().positive();
const Sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

/** Who may move a connection to another epoch: whoever writes its events. */
const everyWriter = ['authorization', 'vault', 'refresh', 'revocation'] as const;

/** One process asks about a device code, until then. */
const Polling = z.object({
  sessionId: SessionId,
  /** Of a process; a new one each time it starts. */
  pollerId: z.string().min(1).max(64),
  pollingUntilMs: TimeMs,
  /** Between two questions: it only grows. */
  intervalS: z.number().int().positive(),
});

/** What a provider granted, as both authorization events carry it. */
const Granted = z.object({
  sessionId: SessionId,
  credentialVersion: CredentialVersion,
  grantedScopes: Scopes,
  accessTokenExpiresAtMs: TimeMs.nullable(),
  hasRefreshToken: z.boolean(),
  /** Keyed digest of the provider's account; null where the provider names none. */
  accountDigest: Digest.nullable(),
  /** Only where the provider names the account by more than an ID token. */
  accountKeys: AccountKeys.optional(),
  /** Only where a refresh ends the access token of before, or may. */
  endedByRefresh: EndedByRefresh.optional(),
  /** Of the provider's file, which the connection is pinned to; absent in what was authorized before there were pins. */
  providerVersion: ProviderVersion.optional(),
  /** Only where it was had otherwise than by an authorization code. */
  grant: Grant.optional(),
  /** Only where its tokens are bound to a key: who has one without the key has nothing. */
  senderConstrained: SenderConstraint.optional(),
  /** Only where the token was had in exchange for others'. */
  delegation: Delegation.optional(),
  /** Only where nobody but a person can replace it: when its owner is reminded to. */
  rotateAtMs: TimeMs.optional(),
  /** Only where authorization details were granted or asked for; they themselves are sealed with the tokens. */
  authorizationDetails: AuthorizationDetailsGranted.optional(),
});

/** Why the end user must authorize again. */
export const ReauthorizationCause = z.enum(['refresh_rejected', 'refresh_token_missing', 'refresh_interrupted']);

/** Why a connection was revoked. */
export const RevocationCause = z.enum([
  'requested_by_platform',
  'requested_by_administrator',
  'requested_by_end_user',
  'revoked_at_provider',
]);

/** How a provider was asked whether a grant lives: RFC 7662, or a call of its API that changes nothing. */
const InquiryMethod = z.enum(['introspection', 'probe']);

/**
 * The events of a connection: type, version, data, and who may write them.
 *
 * Past tense, one per outcome; an optional field keeps the version, anything else is version + 1. They hold no secret
 * and nothing that a person may ask to have forgotten (DESIGN §5).
 */
export const connectionEvents = Object.freeze({
  AuthorizationStarted: {
    version: 1,
    writer: 'authorization',
    summary: 'A connect session began.',
    data: z.object({
      sessionId: SessionId,
      purpose: z.enum(['connect', 'reauthorize']),
      platformId: PlatformId,
      providerId: z.string().max(64),
      registrationId: RegistrationId,
      endUserDigest: Digest,
      requestedScopes: Scopes,
      /** What they followed from, where capabilities were asked for. */
      requestedCapabilities: Capabilities.optional(),
      returnUrl: z.string().max(limits.returnUrlCharsMax),
      expiresAtMs: TimeMs,
      /** Of the provider's file, by which this session goes to its end. */
      providerVersion: ProviderVersion.optional(),
      /** Only where the end user authorizes on another device than the browser of this session, or without one. */
      grant: Grant.extract(['device_code']).optional(),
      /** Only where no code challenge goes with the request, since the provider’s file says that it breaks on one. */
      withoutPkce: z.boolean().optional(),
      /** Only where authorization details are asked for; the way to the page carries them, sealed. */
      authorizationDetails: AuthorizationDetailsDigest.optional(),
    }),
  },
  EstablishmentStarted: {
    version: 1,
    writer: 'authorization',
    summary: 'The provider is about to be asked for a connection that needs no browser.',
    data: z.object({
      sessionId: SessionId,
      purpose: z.enum(['connect', 'reauthorize']),
      grant: Grant,
      platformId: PlatformId,
      providerId: z.string().max(64),
      registrationId: RegistrationId,
      /** Null where it is the platform's own, and no user's. */
      endUserDigest: Digest.nullable(),
      requestedScopes: Scopes,
      /** What they followed from, where capabilities were asked for. */
      requestedCapabilities: Capabilities.optional(),
      expiresAtMs: TimeMs,
      /** Of the provider's file, by which this goes to its end. */
      providerVersion: ProviderVersion,
      /** Only where the end user can be sent to the provider later on: of an import. */
      returnUrl: z.string().max(limits.returnUrlCharsMax).optional(),
      /** Only where it is had in exchange for tokens of these: the vault gives them away for nothing else. */
      delegation: Delegation.optional(),
    }),
  },
  DeviceAuthorizationStarted: {
    version: 1,
    writer: 'authorization',
    summary: 'The provider gave a device code, which the vault keeps; the end user is shown a user code.',
    data: Polling.extend({ deviceCodeExpiresAtMs: TimeMs }),
  },
  DevicePollingStarted: {
    version: 1,
    writer: 'authorization',
    summary: 'Until then one process alone asks the provider about the device code.',
    data: Polling,
  },
  DeviceAuthorizationGranted: {
    version: 1,
    writer: 'authorization',
    summary: 'The provider gave tokens for the device code; they wait in the vault for the platform’s completion.',
    data: Granted.pick({ sessionId: true, accountDigest: true, accountKeys: true, senderConstrained: true }),
  },
  CodeExchangeStarted: {
    version: 1,
    writer: 'authorization',
    summary: 'The authorization code is about to be spent; it cannot be un-spent.',
    data: z.object({ sessionId: SessionId }),
  },
  AuthorizationDenied: {
    version: 1,
    writer: 'authorization',
    summary: 'The session ended without an authorization.',
    data: z.object({
      sessionId: SessionId,
      stage: z.enum(['authorization', 'exchange']),
      error: ProviderWords,
      errorDescription: ProviderWords.nullable(),
    }),
  },
  ConnectionAuthorized: {
    version: 1,
    writer: 'authorization',
    summary: 'The platform completed the session for its own user: the connection can be leased.',
    data: Granted,
  },
  ConnectionReauthorized: {
    version: 1,
    writer: 'authorization',
    summary: 'An existing connection has a new authorization in place of the old one.',
    data: Granted,
  },
  RefreshStarted: {
    version: 1,
    /** The vault where it releases the token in the same commit. */
    writers: ['refresh', 'vault'],
    summary: 'The claim: one worker may spend this credential version’s refresh token.',
    data: z.object({
      claimId: ClaimId,
      credentialVersion: CredentialVersion,
      claimExpiresAtMs: TimeMs,
      reason: z.enum(['expired', 'requested', 'scheduled', 'retry']),
    }),
  },
  RefreshTokenReleased: {
    version: 1,
    writer: 'vault',
    summary: 'The refresh token was sealed to the claim’s worker. Its absence proves that nothing was sent.',
    data: z.object({ claimId: ClaimId }),
  },
  AccessTokenRefreshed: {
    version: 1,
    writer: 'refresh',
    summary: 'The claim bought a new access token, stored as the next credential version.',
    data: z.object({
      claimId: ClaimId,
      credentialVersion: CredentialVersion,
      grantedScopes: Scopes,
      accessTokenExpiresAtMs: TimeMs.nullable(),
    }),
  },
  RefreshTokenRotated: {
    version: 1,
    writer: 'refresh',
    summary: 'The provider replaced the refresh token.',
    data: z.object({ claimId: ClaimId, credentialVersion: CredentialVersion }),
  },
  ScopeDriftDetected: {
    version: 1,
    writer: 'refresh',
    summary: 'A refresh brought other scopes than the ones held before, though nobody asked for that.',
    data: z.object({
      claimId: ClaimId,
      credentialVersion: CredentialVersion,
      lostScopes: Scopes,
      gainedScopes: Scopes,
    }),
  },
  RefreshFailed: {
    version: 1,
    writer: 'refresh',
    summary: 'A transient failure; the connection is degraded and will be tried again.',
    data: z.object({
      claimId: ClaimId,
      error: ProviderWords,
      /** Absent where nobody said more. */
      errorDescription: ProviderWords.optional(),
      httpStatus: z.number().int().nullable(),
      nextAttemptAtMs: TimeMs,
    }),
  },
  RefreshRejected: {
    version: 1,
    writer: 'refresh',
    summary: 'The provider said that this refresh token is dead.',
    data: z.object({
      claimId: ClaimId,
      credentialVersion: CredentialVersion,
      error: ProviderWords,
      errorDescription: ProviderWords.nullable(),
      httpStatus: z.number().int(),
    }),
  },
  RefreshInterrupted: {
    version: 1,
    writer: 'refresh',
    summary: 'A released claim ended without an outcome: whether the provider processed it is undecidable.',
    data: z.object({
      claimId: ClaimId,
      credentialVersion: CredentialVersion,
      /** Only where the retry cannot wait for the access token's end: the refresh token would end before, unused. */
      retryAtMs: TimeMs.optional(),
    }),
  },
  ReauthorizationRequired: {
    version: 1,
    writer: 'refresh',
    summary: 'Only the end user can help.',
    data: z.object({ cause: ReauthorizationCause, evidence: ProviderWords.nullable() }),
  },
  AuthorizationExpiring: {
    version: 1,
    writer: 'refresh',
    summary: 'The provider ends this authorization at a known time, however often it is refreshed; its owner is told.',
    data: z.object({ endsAtMs: TimeMs }),
  },
  RotationDue: {
    version: 1,
    writer: 'refresh',
    summary: 'A credential that was made by hand is as old as it should become; its owner is told.',
    data: z.object({ credentialVersion: CredentialVersion }),
  },
  ConnectionRevoked: {
    version: 2,
    writer: 'revocation',
    summary: 'From here on no lease is granted until a re-authorization.',
    data: z.object({
      cause: RevocationCause,
      reason: Reason.nullable(),
      /** The signal that proved it, or made us ask the provider; null where somebody asked us. */
      evidence: SignalEvidence.nullable(),
      /** What the provider answered, where the signal alone proved nothing. */
      confirmedBy: z.object({ method: InquiryMethod, error: ProviderWords.nullable() }).optional(),
    }),
  },
  RevocationSuspected: {
    version: 1,
    writer: 'revocation',
    summary: 'A signal hints that the grant ended, and proves nothing: the provider will be asked.',
    data: z.object({ credentialVersion: CredentialVersion, evidence: SignalEvidence }),
  },
  RevocationDisproved: {
    version: 1,
    writer: 'revocation',
    summary: 'The provider was asked about a suspected grant, and said that it lives.',
    data: z.object({ credentialVersion: CredentialVersion, method: InquiryMethod }),
  },
  InspectionStarted: {
    version: 1,
    writer: 'vault',
    summary:
      'The refresh token, or what was made by hand, was sealed to be shown to the provider, who is asked whether it lives.',
    data: z.object({ credentialVersion: CredentialVersion }),
  },
  InsufficientScopeReported: {
    version: 1,
    writer: 'revocation',
    summary: 'The provider’s API wanted more scopes than were granted. The grant lives.',
    data: z.object({
      credentialVersion: CredentialVersion,
      /** Those that no such event named before; none where the provider does not say which. */
      missingScopes: Scopes,
      error: ProviderWords,
    }),
  },
  ClaimsRequired: {
    version: 1,
    writer: 'revocation',
    summary: 'The provider’s API wants an authorization with these claims: only the end user can help.',
    data: z.object({ credentialVersion: CredentialVersion, claims: RequiredClaims }),
  },
  UpstreamRevocationCompleted: {
    version: 2,
    writer: 'revocation',
    summary: 'The provider was told and agreed.',
    data: z.object({
      credentialVersion: CredentialVersion,
      /** Also which endpoint was told: the standard's, or one of the provider's own. */
      method: z.enum(['rfc7009', 'provider_endpoint', 'nothing_to_revoke']),
    }),
  },
  UpstreamRevocationFailed: {
    version: 1,
    writer: 'revocation',
    summary: 'The provider could not be told; final says whether it will be tried again.',
    data: z.object({
      credentialVersion: CredentialVersion,
      error: ProviderWords,
      final: z.boolean(),
    }),
  },
  ConnectionSuspended: {
    version: 1,
    writer: 'revocation',
    summary: 'Leases are refused until it is resumed; the authorization stays.',
    data: z.object({ reason: Reason.nullable() }),
  },
  ConnectionResumed: {
    version: 1,
    writer: 'revocation',
    summary: 'The suspension ended.',
    data: z.object({ reason: Reason.nullable() }),
  },
  DeletionRequested: {
    version: 1,
    writer: 'revocation',
    summary: 'The connection is refused for ever; its key is shredded after the provider was told.',
    data: z.object({ reason: Reason.nullable() }),
  },
  ConnectionKeyShredded: {
    version: 1,
    writer: 'vault',
    summary: 'The data key is gone: nothing stored under it can be opened again.',
    data: z.object({}),
  },
  EpochClosed: {
    version: 1,
    writers: everyWriter,
    summary: 'The connection goes on in a later epoch, which the next event of the same commit opens.',
    data: z
      .object({ epoch: Epoch, nextEpoch: Epoch, authorization: CarriedAuthorization })
      .refine(({ epoch, nextEpoch }) => epoch < nextEpoch, 'the next epoch must be later'),
  },
  EpochOpened: {
    version: 1,
    writers: everyWriter,
    summary: 'The state and the hash that the closed epoch ended in: nothing before it is needed any more.',
    data: z
      .object({
        epoch: Epoch,
        previousEpoch: Epoch,
        previousRevision: z.number().int().positive(),
        /** Of the last commit in the previous epoch, as `previousHash` of a commit is made. */
        previousHash: Sha256Hex,
        state: CarriedConnection,
      })
      .refine(({ epoch, previousEpoch }) => previousEpoch < epoch, 'the previous epoch must be earlier'),
  },
} as const);

export type ConnectionEventType = keyof typeof connectionEvents;

/** An event of a connection, discriminated by `type`. */
export type ConnectionEvent = {
  [T in ConnectionEventType]: {
    type: T;
    version: number;
    data: z.infer<(typeof connectionEvents)[T]['data']>;
  };
}[ConnectionEventType];
