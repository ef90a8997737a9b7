// Long, because it is one table: what can be asked on the bus, from which permissions, endpoints and documents follow.
import { z } from 'zod';

import { FetchedUrl, TokenEndpointAuthMethod } from './admin-events.ts';
import type { AppName, IdentityName } from './apps.ts';
import {
  AgentId,
  ClaimId,
  ConnectionId,
  CredentialId,
  LeaseId,
  PlatformId,
  RegistrationId,
  SessionId,
  TenantId,
  TransmitterId,
  WebhookId,
} from './ids.ts';
import { AuthorizationDetails } from './authorization-details.ts';
import { DelegationView, EstablishedGrant } from './grants.ts';
import { Freshness } from './freshness.ts';
import { ImportedRow, ImportRow } from './imports.ts';
import { Inspection } from './inspection.ts';
import { limits } from './limits.ts';
import {
  ConnectionScopesReply,
  ConnectionScopesRequest,
  DiffReply,
  DiffRequest,
  WhoCouldReply,
  WhoCouldRequest,
  WhoDidReply,
  WhoDidRequest,
} from './questions.ts';
import { ConnectionsHealth, ConnectionsHealthRequest, HealthOverview, HealthOverviewRequest } from './health.ts';
import { ModelRequest, ProjectionRebuilt, ProjectionsList, ProjectionVerified } from './projections.ts';
import { RefreshStatus } from './refresh-status.ts';
import { RejectionReply, TokenRejection } from './rejection.ts';
import { WeighedSignal } from './signal.ts';
import { RegistrationSecretKind, registrationSecretRights } from './registration-secrets.ts';
import { SentAs } from './static-credentials.ts';
import { WebhookAttempt, WebhookDelivery, WebhookDeliveryStatus } from './webhooks.ts';
import {
  KeysRetired,
  KeysRetiredRequest,
  KeysRewrapped,
  KeysRewrapRequest,
  KeysStatus,
  KeysStatusRequest,
} from './vault-keys.ts';
import {
  Capability,
  CompactJwe,
  CompactJws,
  JwsAlgorithm,
  Scopes,
  SigningPublicJwk,
  Timestamp,
  TimeMs,
  X25519PublicJwk,
} from './wire.ts';

const Position = z.number().int().nonnegative();
const Reason = z.string().max(limits.reasonCharsMax).optional();
const EndUser = z.string().min(1).max(limits.endUserCharsMax).describe("The platform's own id of its logged-in user");
const SessionGrant = z
  .enum(['authorization_code', 'device_code'])
  .describe('How the end user authorizes: in this browser, or with a user code on any device (RFC 8628)');
const Capabilities = z
  .array(Capability)
  .min(1)
  .max(limits.capabilitiesMax)
  .describe('Instead of scopes: what must be possible, from which the scopes follow');
const ReturnTo = z.string().max(limits.returnUrlCharsMax);

/** Who may call: identities of the CORE account, and `platform` for every platform on its own subject. */
export type Caller = IdentityName | 'platform';

interface OperationInput<Q extends z.ZodType, R extends z.ZodType> {
  readonly owner: AppName;
  readonly callers: readonly Caller[];
  /** `platform`: `<name>.<tenant>.<platform>`; `service`: `<name>.<calling app>`. The subject proves the caller. */
  readonly scope: 'platform' | 'service';
  /** Every instance answers, not one of them. */
  readonly broadcast?: boolean;
  /** `limits.requestBytesMax` when absent. */
  readonly requestBytesMax?: number;
  readonly summary: string;
  readonly request: Q;
  readonly reply: R;
}

export interface Operation<Q extends z.ZodType = z.ZodType, R extends z.ZodType = z.ZodType> extends OperationInput<
  Q,
  R
> {
  readonly name: string;
}

/** The request an operation takes, as TypeScript sees it after parsing. */
export type RequestOf<O extends Operation> = z.output<O['request']>;
/** The reply an operation gives. */
export type ReplyOf<O extends Operation> = z.output<O['reply']>;

function operation<Q extends z.ZodType, R extends z.ZodType>(
  name: string,
  input: OperationInput<Q, R>,
): Operation<Q, R> {
  return Object.freeze({ name, ...input });
}

const platformCallers = ['platform', 'gateway', 'administrator'] as const;
const ConnectionRef = z.strictObject({ connection_id: ConnectionId });
const WithReason = z.strictObject({ connection_id: ConnectionId, reason: Reason });
const WithCascade = WithReason.extend({ cascade: z.boolean().optional() });
const Outcome = z.object({ connection_id: ConnectionId, position: Position, freshness: Freshness });

/** `cascaded`: what ended with it, since the provider ends it all. */
const Ended = Outcome.extend({
  confirmed_by: z.array(z.string()),
  confirmation_ms: z.number(),
  cascaded: z.array(ConnectionId),
});

/** What the end user types in, and where. @source RFC 8628 §3.2, §3.3 */
const ShownUserCode = z.object({
  user_code: z.string(),
  verification_uri: z.url(),
  expires_at: Timestamp,
});

export const SessionReply = z.object({
  session_id: SessionId,
  connect_url: z
    .url()
    .optional()
    .describe('Where the end user’s browser goes; absent where the platform shows a user code'),
  expires_at: Timestamp,
  device_authorization: ShownUserCode.optional().describe(
    'Only by the grant device_code without a return_url: the platform shows it to the user whom it has logged in',
  ),
});

/** A connection as its platform sees it. */
export const ConnectionView = z.object({
  connection_id: ConnectionId,
  tenant_id: TenantId,
  platform_id: PlatformId,
  provider: z.string(),
  registration_id: RegistrationId,
  authorization: z.enum(['pending', 'authorized', 'reauthorization_required', 'revoked', 'deleted']),
  suspended: z.boolean(),
  credential_version: z.number().int().nullable(),
  scope: Scopes,
  revision: z.number().int(),
  position: Position,
  created_at: Timestamp,
  reauthorize_url: z.string().nullable(),
  /** Only of a derived connection: from whose tokens it was had. */
  delegation: DelegationView.optional(),
  freshness: Freshness,
});
export type ConnectionView = z.infer<typeof ConnectionView>;

/** An event as it is told to its platform and printed by the CLI. */
export const EventView = z.object({
  position: Position,
  revision: z.number().int(),
  at: Timestamp,
  actor: z.object({ type: z.string(), id: z.string().optional() }),
  type: z.string(),
  version: z.number().int(),
  data: z.record(z.string(), z.unknown()),
  commit_id: z.string(),
  correlation_id: z.string(),
});
export type EventView = z.infer<typeof EventView>;

const Receipt = z
  .boolean()
  .optional()
  .describe(
    'Whether the answer carries a receipt: the promise, signed, that the record of this lease stands in the log',
  );

export const LeaseRequest = z.strictObject({
  connection_id: ConnectionId,
  agent_id: AgentId,
  purpose: z.string().min(1).max(limits.purposeCharsMax),
  /** An assertion (refused if not granted), never a narrowing. */
  scopes: Scopes.optional(),
  min_ttl_s: z.number().int().min(0).max(limits.minTtlSMax).optional(),
  recipient_key: X25519PublicJwk,
  receipt: Receipt,
});

export const LeaseReply = z.object({
  lease_id: LeaseId,
  credential_version: z.number().int().positive(),
  sealed_token: CompactJwe,
  token_type: z.string(),
  sent_as: SentAs.optional().describe('Only where it is no token of OAuth’s: where a request carries it'),
  expires_at: Timestamp.nullable(),
  scope: Scopes,
  freshness: Freshness,
  receipt: CompactJws.optional().describe('Only where it was asked for: a lease receipt, signed by the vault'),
});

const Stored = z.object({
  credential_id: CredentialId,
  credential_version: z.number().int().positive().nullable(),
});

const ConnectionKey = { tenant_id: TenantId, connection_id: ConnectionId };
const RegistrationKey = { tenant_id: TenantId, registration_id: RegistrationId };
const WebhookKey = { tenant_id: TenantId, webhook_id: WebhookId };
const SecretVersion = z.number().int().positive();
const SecretStored = z.object({ secret_version: SecretVersion });
const KeyStored = SecretStored.extend({ public_jwk: SigningPublicJwk });
const CertificateStored = SecretStored.extend({
  certificate: z.object({ x5t_s256: z.string(), not_after: Timestamp }),
});
const RefusedVersion = SecretVersion.optional().describe(
  'A version that the provider has just refused: another one is wanted, if there is one',
);
/** @source RFC 9449 §4.2 */
const HttpTarget = z
  .url({ protocol: /^https?$/ })
  .max(2048)
  .refine((text) => !/[?#]/.test(text), 'must have neither query nor fragment');

/**
 * Every question and command on the bus: one table from which the subjects, the permissions of each NATS user, the
 * service endpoints and the AsyncAPI document follow. A subject's last tokens name the caller, so that the bus itself
 * proves who asks.
 */
export const operations = Object.freeze({
  leaseToken: operation('tokens.lease', {
    owner: 'vault',
    callers: ['platform', 'gateway'],
    scope: 'platform',
    summary: 'Leases the access token of a connection, sealed to the key in the request.',
    request: LeaseRequest,
    reply: LeaseReply,
  }),
  reportRejection: operation('tokens.rejected', {
    owner: 'revocation',
    callers: ['platform', 'gateway'],
    scope: 'platform',
    summary: "Takes a platform's report that the provider's API refused a leased token; answers when it is stored.",
    request: TokenRejection,
    reply: RejectionReply,
  }),
  startSession: operation('connections.connect', {
    owner: 'authorization',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Begins a connect session for an end user of the platform.',
    request: z.strictObject({
      registration_id: RegistrationId.optional(),
      provider: z.string().max(64).optional(),
      end_user: EndUser,
      return_url: ReturnTo.optional().describe(
        'Needed but for the grant device_code, where the platform shows the code',
      ),
      grant: SessionGrant.optional(),
      scopes: Scopes.optional(),
      capabilities: Capabilities.optional(),
      authorization_details: AuthorizationDetails.optional().describe(
        'What exactly is asked for, by the provider’s own types (RFC 9396); not with a user code',
      ),
    }),
    reply: SessionReply,
  }),
  completeSession: operation('connections.complete', {
    owner: 'authorization',
    callers: platformCallers,
    scope: 'platform',
    summary:
      'Completes a session for the user whom the platform itself has logged in; until then nothing can be leased.',
    request: z.strictObject({
      session_id: SessionId,
      code: z
        .string()
        .min(1)
        .max(4096)
        .optional()
        .describe('What the browser brought back; absent only where the platform itself showed a user code'),
      end_user: EndUser,
    }),
    reply: z.object({
      connection_id: ConnectionId,
      position: Position,
      scope: Scopes,
      freshness: Freshness,
    }),
  }),
  reauthorize: operation('connections.reauthorize', {
    owner: 'authorization',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Begins a session that authorizes an existing connection anew, in place.',
    request: z.strictObject({
      connection_id: ConnectionId,
      return_url: ReturnTo.optional(),
      scopes: Scopes.optional(),
      capabilities: Capabilities.optional(),
      authorization_details: AuthorizationDetails.optional().describe(
        'What exactly is asked for, by the provider’s own types (RFC 9396); not with a user code',
      ),
    }),
    reply: SessionReply,
  }),
  meetResource: operation('authorization.resource.meet', {
    owner: 'authorization',
    callers: ['administrator'],
    scope: 'service',
    summary:
      'Finds out what an MCP server is, who issues its tokens, and becomes a client there where that can be done.',
    request: z.strictObject({
      ...RegistrationKey,
      resource: z.url().max(2048),
      issuer: z.url().max(2048).optional().describe('Of those that the server names: this one'),
      token_endpoint_auth_method: z.enum(['none', 'private_key_jwt']),
      has_client: z.boolean().describe('Somebody registered us there already: no client is made'),
    }),
    reply: z.object({
      resource: z.string(),
      issuer: z.string(),
      scope: Scopes,
      client: z
        .object({
          client_id: z.string(),
          token_endpoint_auth_method: TokenEndpointAuthMethod,
          sealed_secret: CompactJwe.nullable().describe('To the vault, which alone can open it'),
          secret_expires_at: Timestamp.nullable(),
        })
        .nullable()
        .describe('Null where the authorization server takes new clients by hand alone'),
    }),
  }),
  checkRegistration: operation('authorization.registration.check', {
    owner: 'authorization',
    callers: ['administrator'],
    scope: 'service',
    summary:
      'Refuses a client registration that asks for what its provider, by its file and its metadata, does not have.',
    request: z.strictObject({
      provider: z.string().max(64),
      parameters: z.record(z.string().max(64), z.string().max(2048)),
      dpop_bound_access_tokens: z.boolean().optional(),
      tls_client_certificate_bound_access_tokens: z.boolean().optional(),
      require_signed_request_object: z.boolean().optional(),
    }),
    reply: z.strictObject({}),
  }),
  establish: operation('connections.establish', {
    owner: 'authorization',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Makes a connection that needs no browser, or makes one anew in place; answers when it can be leased.',
    request: z.strictObject({
      registration_id: RegistrationId.optional(),
      provider: z.string().max(64).optional(),
      /** Whose connection it becomes; where an administrator asks, this must be said. */
      platform_id: PlatformId.optional(),
      end_user: EndUser.optional().describe("Absent: the connection is the platform's own, and no user's"),
      grant: EstablishedGrant,
      scopes: Scopes.optional(),
      capabilities: Capabilities.optional(),
      connection_id: ConnectionId.optional().describe('One that exists and is made anew in place'),
      idempotency_key: z
        .string()
        .min(1)
        .max(limits.idempotencyKeyCharsMax)
        .optional()
        .describe('The same key again answers with the same connection'),
    }),
    reply: z.object({
      connection_id: ConnectionId,
      position: Position,
      scope: Scopes,
      freshness: Freshness,
    }),
  }),
  importConnections: operation('connections.import', {
    owner: 'authorization',
    callers: platformCallers,
    scope: 'platform',
    requestBytesMax: limits.importBytesMax,
    summary: 'Takes over connections that another broker held: all of them, or none.',
    request: z.strictObject({
      /** Whose connections they become; where an administrator asks, this must be said. */
      platform_id: PlatformId.optional(),
      rows: z.array(ImportRow).min(1).max(limits.importRowsMax),
      dry_run: z.boolean().optional().describe('Looks at every row as an import does, and writes nothing'),
    }),
    reply: z.object({
      rows: z.array(ImportedRow),
      /** Where the last of them stands in the log; null where nothing was written. */
      position: Position.nullable(),
    }),
  }),
  refreshConnection: operation('connections.refresh', {
    owner: 'refresh',
    callers: [...platformCallers, 'vault', 'revocation'],
    scope: 'platform',
    summary: 'Refreshes a connection now and answers with the outcome.',
    request: z.strictObject({
      connection_id: ConnectionId,
      /** Refresh only while this credential version is still the current one. */
      credential_version: z.number().int().positive().optional(),
    }),
    reply: z.object({
      connection_id: ConnectionId,
      position: Position,
      credential_version: z.number().int(),
      freshness: Freshness,
    }),
  }),
  refreshStatus: operation('refresh.status', {
    owner: 'refresh',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Tells how refreshing goes over all connections: what is due, late or failing, and what was mended.',
    request: z.strictObject({}),
    reply: RefreshStatus,
  }),
  revokeConnection: operation('connections.revoke', {
    owner: 'revocation',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Revokes a connection; answers when every vault has confirmed or lost its right to serve.',
    request: WithCascade,
    reply: Ended,
  }),
  suspendConnection: operation('connections.suspend', {
    owner: 'revocation',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Refuses leases until the connection is resumed.',
    request: WithReason,
    reply: Outcome,
  }),
  resumeConnection: operation('connections.resume', {
    owner: 'revocation',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Ends a suspension.',
    request: WithReason,
    reply: Outcome,
  }),
  deleteConnection: operation('connections.delete', {
    owner: 'revocation',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Refuses the connection for ever, tells the provider, then shreds its key.',
    request: WithCascade,
    reply: Ended,
  }),
  showConnection: operation('connections.show', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells the state of one connection.',
    request: ConnectionRef,
    reply: ConnectionView,
  }),
  listConnections: operation('connections.list', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Lists the connections of a platform, oldest change first.',
    request: z.strictObject({
      after: Position.optional(),
      limit: z.number().int().min(1).max(limits.listPageMax).optional(),
    }),
    reply: z.object({ connections: z.array(ConnectionView), next: Position.nullable() }),
  }),
  listEvents: operation('connections.events', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells the events of one connection, oldest first.',
    request: z.strictObject({
      connection_id: ConnectionId,
      after: Position.optional(),
      limit: z.number().int().min(1).max(limits.listPageMax).optional(),
    }),
    reply: z.object({ events: z.array(EventView), next: Position.nullable() }),
  }),
  connectionsHealth: operation('health.connections', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells how connections of a platform fare, one or page by page, and why.',
    request: ConnectionsHealthRequest,
    reply: ConnectionsHealth,
  }),
  healthOverview: operation('health.overview', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary:
      "Tells how a platform's providers fare, by its own connections: a provider that is down, or single grants.",
    request: HealthOverviewRequest,
    reply: HealthOverview,
  }),
  providersHealth: operation('health.providers', {
    owner: 'audit',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Tells how providers fare, by the connections of all tenants.',
    request: HealthOverviewRequest,
    reply: HealthOverview,
  }),
  listProjections: operation('projections.list', {
    owner: 'audit',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Tells how far each read model is, and what it set aside.',
    request: z.strictObject({}),
    reply: ProjectionsList,
  }),
  rebuildProjection: operation('projections.rebuild', {
    owner: 'audit',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Makes a read model anew beside the live one, and then puts it in its place; answers when that is done.',
    request: ModelRequest,
    reply: ProjectionRebuilt,
  }),
  verifyProjection: operation('projections.verify', {
    owner: 'audit',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Compares a read model with a fresh fold of the log, byte for byte, and names the first row that differs.',
    request: ModelRequest,
    reply: ProjectionVerified,
  }),

  whoDid: operation('audit.who_did', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells who used which connection, for what purpose, under which scopes, granted or refused and why.',
    request: WhoDidRequest,
    reply: WhoDidReply,
  }),
  connectionScopes: operation('connections.scopes', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells the scopes that were asked for, given and used, and which could be dropped.',
    request: ConnectionScopesRequest,
    reply: ConnectionScopesReply,
  }),
  whoCould: operation('audit.who_could', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells which platforms and agents could have used which connections at a moment of the past.',
    request: WhoCouldRequest,
    reply: WhoCouldReply,
  }),
  diff: operation('audit.diff', {
    owner: 'audit',
    callers: platformCallers,
    scope: 'platform',
    summary: 'Tells what is not at one moment of the past what it was at another.',
    request: DiffRequest,
    reply: DiffReply,
  }),

  listSignals: operation('signals.list', {
    owner: 'revocation',
    callers: ['administrator'],
    scope: 'service',
    summary: "Tells what a tenant's providers said of grants, newest first, and what came of it.",
    request: z.strictObject({
      tenant_id: TenantId,
      /** Only those that named no connection. */
      unmatched: z.boolean().optional(),
      /** Only those before this position. */
      before: Position.optional(),
      limit: z.number().int().min(1).max(limits.listPageMax).optional(),
    }),
    reply: z.object({ signals: z.array(WeighedSignal), next: Position.nullable() }),
  }),

  verifyTransmitter: operation('transmitters.verify', {
    owner: 'revocation',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Has a transmitter of security events send its verification, and waits for it.',
    request: z.strictObject({
      transmitter_id: TransmitterId,
      /** Where its metadata are not at its issuer. */
      endpoint: FetchedUrl.optional(),
      stream_id: z.string().min(1).max(256).optional(),
      /** The bearer token is the webhook secret of this registration; absent: the one for polling, where there is one. */
      bearer_of: z.strictObject({ tenant_id: TenantId, registration_id: RegistrationId }).optional(),
    }),
    reply: z.object({
      transmitter_id: TransmitterId,
      /** What it was to send back. */
      state: z.string(),
      /** Whether that was taken in, before it was waited for too long. */
      verified: z.boolean(),
      took_ms: z.number(),
    }),
  }),

  listInspections: operation('inspections.list', {
    owner: 'revocation',
    callers: ['administrator'],
    scope: 'service',
    summary:
      'Tells about which connections of a tenant providers were asked without any sign, the last time each, newest first.',
    request: z.strictObject({
      tenant_id: TenantId,
      /** Only those that were asked before. */
      before: Timestamp.optional(),
      limit: z.number().int().min(1).max(limits.listPageMax).optional(),
    }),
    reply: z.object({ inspections: z.array(Inspection), next: Timestamp.nullable() }),
  }),

  storeCredential: operation('vault.credentials.store', {
    owner: 'vault',
    callers: ['authorization', 'refresh'],
    scope: 'service',
    summary:
      'Stores what a claim bought as the next version, or what a session brought as pending; repeats answer the same.',
    request: z.strictObject({
      ...ConnectionKey,
      bought_by: z.union([ClaimId, SessionId]),
      sealed_token_set: CompactJwe,
    }),
    reply: Stored,
  }),
  promoteCredential: operation('vault.credentials.promote', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary: 'Makes the pending token set of a session the next credential version; repeats answer the same.',
    request: z.strictObject({ ...ConnectionKey, session_id: SessionId }),
    reply: z.object({
      credential_id: CredentialId,
      credential_version: z.number().int().positive(),
      access_token_expires_at_ms: TimeMs.nullable(),
      granted_scopes: Scopes,
      has_refresh_token: z.boolean(),
    }),
  }),
  findCredential: operation('vault.credentials.find', {
    owner: 'vault',
    callers: ['refresh', 'authorization'],
    scope: 'service',
    summary: 'Did this claim or session buy something that is stored?',
    request: z.strictObject({ ...ConnectionKey, bought_by: z.union([ClaimId, SessionId]) }),
    reply: z.object({
      found: z.boolean(),
      credential_version: z.number().int().positive().nullable(),
      access_token_expires_at_ms: TimeMs.nullable(),
      granted_scopes: Scopes,
      refresh_token_rotated: z.boolean(),
    }),
  }),
  releaseRefreshToken: operation('vault.refresh_token.release', {
    owner: 'vault',
    callers: ['refresh'],
    scope: 'service',
    summary:
      'Releases the refresh token for a live claim, after appending RefreshTokenReleased; for a planned refresh it appends the claim with it, where it is asked to.',
    request: z.strictObject({
      ...ConnectionKey,
      claim_id: ClaimId,
      /** A claim that does not stand yet. */
      claim: z
        .strictObject({
          credential_version: z.number().int().positive(),
          timeout_ms: z.number().int().positive().max(limits.refreshAckWaitMs),
        })
        .optional(),
    }),
    reply: z.object({
      /** JSON `{refreshToken, grantedScopes}`, or `renewal` in place of the token, with `exchange` for one that needs others’; sealed to refresh’s pinned key. */
      sealed_refresh_token: CompactJwe,
      credential_version: z.number().int().positive(),
      position: Position,
    }),
  }),
  releaseForExchange: operation('vault.exchange.release', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary:
      'Releases the tokens of a subject and an actor, or the ID token of a subject, for an exchange that stands open in the log, recorded as leases.',
    request: z.strictObject({
      ...ConnectionKey,
      session_id: SessionId,
      /** At which they were found: one that moved to another is not shown there. */
      subject_registration_id: RegistrationId,
      actor_registration_id: RegistrationId.optional(),
    }),
    reply: z.object({
      /**
       * JSON `{subject, actor}`, each `{accessToken, grantedScopes}`, or of an identity assertion `{idToken, providerVersion}`; sealed to
       * authorization’s pinned key.
       */
      sealed_tokens: CompactJwe,
    }),
  }),
  releaseForRevocation: operation('vault.revoked_tokens.release', {
    owner: 'vault',
    callers: ['revocation'],
    scope: 'service',
    summary: 'Releases the tokens of a connection whose revocation or deletion stands in the log.',
    request: z.strictObject({ ...ConnectionKey }),
    reply: z.object({
      found: z.boolean(),
      /** JSON `{accessToken, refreshToken}`, sealed to revocation’s pinned key; null when none is held. */
      sealed_tokens: CompactJwe.nullable(),
      credential_version: z.number().int().nonnegative(),
    }),
  }),
  releaseSuspectedToken: operation('vault.suspected_token.release', {
    owner: 'vault',
    callers: ['revocation'],
    scope: 'service',
    summary: 'Releases one token of a connection whose suspicion stands in the log, recorded as a lease is.',
    request: z.strictObject({ ...ConnectionKey, kind: z.enum(['access_token', 'refresh_token']) }),
    reply: z.object({
      /** The token itself, sealed to revocation’s pinned key; null when none of this kind is held. */
      sealed_token: CompactJwe.nullable(),
      credential_version: z.number().int().positive(),
    }),
  }),
  releaseForInspection: operation('vault.inspection.release', {
    owner: 'vault',
    callers: ['revocation'],
    scope: 'service',
    summary:
      'Releases a token that nobody suspects (a refresh token, or what was made by hand), to be shown to its provider; once in so many hours.',
    request: z.strictObject({ ...ConnectionKey }),
    reply: z.object({
      /** The token itself, sealed to revocation’s pinned key; null when none is held. */
      sealed_token: CompactJwe.nullable(),
      credential_version: z.number().int().positive(),
    }),
  }),
  storeClientSecret: operation('vault.client_secret.store', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Stores a client secret of a registration as its next version.',
    request: z.strictObject({ ...RegistrationKey, sealed_secret: CompactJwe }),
    reply: SecretStored,
  }),
  releaseClientSecret: operation('vault.client_secret.release', {
    owner: 'vault',
    callers: registrationSecretRights.client_secret.releasedTo,
    scope: 'service',
    summary: 'Seals the client secret of a registration to the app that asks.',
    request: z.strictObject({ ...RegistrationKey, refused_version: RefusedVersion }),
    reply: SecretStored.extend({ sealed_secret: CompactJwe }),
  }),
  storeWebhookSecret: operation('vault.webhook_secret.store', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Stores the secret with which a provider signs its webhooks as its next version.',
    request: z.strictObject({ ...RegistrationKey, sealed_secret: CompactJwe }),
    reply: SecretStored,
  }),
  releaseWebhookSecrets: operation('vault.webhook_secret.release', {
    owner: 'vault',
    callers: registrationSecretRights.webhook_secret.releasedTo,
    scope: 'service',
    summary: 'Seals every webhook secret in use to the app that asks: a delivery may be signed with any of them.',
    request: z.strictObject(RegistrationKey),
    reply: z.object({ secrets: z.array(SecretStored.extend({ sealed_secret: CompactJwe })) }),
  }),
  makePrivateKey: operation('vault.private_key.make', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Makes a private key of a registration as its next version; only its public part ever leaves.',
    request: z.strictObject({ ...RegistrationKey, algorithm: JwsAlgorithm }),
    reply: KeyStored,
  }),
  importPrivateKey: operation('vault.private_key.import', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Stores a private key that a provider already knows as the next version.',
    request: z.strictObject({ ...RegistrationKey, sealed_key: CompactJwe }),
    reply: KeyStored,
  }),
  storeTlsCertificate: operation('vault.tls_certificate.store', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Stores a client certificate of a registration, its chain and its private key, as its next version.',
    request: z.strictObject({ ...RegistrationKey, sealed_certificate: CompactJwe }),
    reply: CertificateStored,
  }),
  releaseTlsCertificate: operation('vault.tls_certificate.release', {
    owner: 'vault',
    callers: registrationSecretRights.tls_certificate.releasedTo,
    scope: 'service',
    summary: 'Seals the client certificate of a registration, with its key, to the app that makes the connection.',
    request: z.strictObject({ ...RegistrationKey, refused_version: RefusedVersion }),
    reply: SecretStored.extend({ sealed_certificate: CompactJwe }),
  }),
  deleteEndedSecrets: operation('vault.ended_secrets.delete', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Deletes the older secrets of a registration that its events do not name as usable any more.',
    request: z.strictObject({ ...RegistrationKey, kind: RegistrationSecretKind }),
    reply: z.object({ deleted: z.number().int().nonnegative() }),
  }),
  storeEndpointSecret: operation('vault.endpoint_secret.store', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: "Stores the secret with which deliveries to a tenant's webhook are signed as its next version.",
    request: z.strictObject({ ...WebhookKey, sealed_secret: CompactJwe }),
    reply: SecretStored,
  }),
  releaseEndpointSecrets: operation('vault.endpoint_secret.release', {
    owner: 'vault',
    callers: ['notifier'],
    scope: 'service',
    summary: "Seals every secret of a tenant's webhook in use to notifier: a delivery is signed with each of them.",
    request: z.strictObject(WebhookKey),
    reply: z.object({ secrets: z.array(SecretStored.extend({ sealed_secret: CompactJwe })) }),
  }),
  deleteEndedEndpointSecrets: operation('vault.endpoint_secret.delete_ended', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Deletes the secrets of a webhook that nothing is signed with any more; of a disabled one, all.',
    request: z.strictObject(WebhookKey),
    reply: z.object({ deleted: z.number().int().nonnegative() }),
  }),
  testWebhook: operation('webhooks.test', {
    owner: 'notifier',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Sends one signed `webhook.test` to a webhook at once, and tells what it answered; it is not tried again.',
    request: z.strictObject(WebhookKey),
    reply: WebhookAttempt,
  }),
  listDeliveries: operation('webhooks.deliveries', {
    owner: 'notifier',
    callers: ['administrator'],
    scope: 'service',
    summary: 'Tells what was sent to a webhook, newest first, with each attempt; never what was in it.',
    request: z.strictObject({
      ...WebhookKey,
      status: WebhookDeliveryStatus.optional(),
      before: Position.optional(),
      limit: z.number().int().min(1).max(limits.listPageMax).optional(),
    }),
    reply: z.object({ deliveries: z.array(WebhookDelivery), next: Position.nullable() }),
  }),
  redeliver: operation('webhooks.redeliver', {
    owner: 'notifier',
    callers: ['administrator'],
    scope: 'service',
    summary:
      'Sends one message to a webhook again, or a page of those that failed, the eldest first, under the same `webhook-id`.',
    request: z.strictObject({
      ...WebhookKey,
      message_id: z.string().min(1).max(256).optional().describe('Whatever came of it; every dead one when absent'),
      since: Timestamp.optional().describe(
        'Instead of a message: what was owed from then on and is dead, or failed and waits for its next attempt',
      ),
      after: Position.optional().describe('Goes on behind this position: `next` of the page before'),
    }),
    reply: z.object({ redelivered: z.number().int().nonnegative(), next: Position.nullable() }),
  }),
  signAssertion: operation('vault.assertion.sign', {
    owner: 'vault',
    callers: registrationSecretRights.private_key.signsFor,
    scope: 'service',
    summary: 'Signs a client assertion (private_key_jwt) whose claims the vault takes from the registration.',
    request: z.strictObject({ ...RegistrationKey, refused_version: RefusedVersion }),
    /** Good for one use within a minute, sealed all the same: whoever has it is this client. */
    reply: SecretStored.extend({ sealed_assertion: CompactJwe }),
  }),
  storeDeviceCode: operation('vault.device_code.store', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary:
      'Keeps the device code of a session that has begun, and what its end user is shown, until the session ends.',
    request: z.strictObject({ ...ConnectionKey, session_id: SessionId, sealed_device_code: CompactJwe }),
    reply: z.strictObject({}),
  }),
  releaseDeviceCode: operation('vault.device_code.release', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary: 'Seals the device code of a session whose provider is being asked to the app that asks it.',
    request: z.strictObject({ ...ConnectionKey, session_id: SessionId }),
    reply: z.object({ sealed_device_code: CompactJwe }),
  }),
  signRequestObject: operation('vault.request_object.sign', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary:
      'Signs an authorization request (RFC 9101) for a registration; who asks and for whom, the vault takes from the log.',
    request: z.strictObject({
      ...RegistrationKey,
      parameters: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,63}$/), z.string().max(8_192)),
    }),
    reply: z.object({ request_object: CompactJws }),
  }),
  signGrantAssertion: operation('vault.grant_assertion.sign', {
    owner: 'vault',
    callers: ['authorization'],
    scope: 'service',
    summary: 'Signs what a connection that is being established is asked for with (RFC 7523 §2.1).',
    request: z.strictObject({
      ...ConnectionKey,
      session_id: SessionId,
      sealed_renewal: CompactJwe.describe('Sealed to the vault; its header names connection and session'),
    }),
    /** Good for one use within a minute, sealed all the same: whoever has it is given a token. */
    reply: SecretStored.extend({ sealed_assertion: CompactJwe }),
  }),
  signDpopProof: operation('vault.dpop.sign', {
    owner: 'vault',
    callers: ['authorization', 'refresh', 'revocation'],
    scope: 'service',
    summary: 'Signs a DPoP proof (RFC 9449) with the key of a connection, which is made when it is first needed.',
    request: z.strictObject({
      ...ConnectionKey,
      htm: z.string().regex(/^[A-Z]{1,16}$/, 'must be an HTTP method'),
      htu: HttpTarget,
      nonce: z
        .string()
        .max(512)
        .regex(/^[\x21\x23-\x5B\x5D-\x7E]+$/, 'must be a nonce (RFC 9449 §8.1)')
        .optional(),
      ath: z
        .string()
        .length(43)
        .regex(/^[A-Za-z0-9_-]+$/)
        .optional()
        .describe('SHA-256 of the access token that goes with it'),
    }),
    reply: z.object({ proof: CompactJws, jkt: z.string().length(43) }),
  }),
  confirmPosition: operation('vault.position.confirm', {
    owner: 'vault',
    callers: ['revocation'],
    scope: 'service',
    broadcast: true,
    summary: 'Answers once this vault has applied the log up to a position.',
    request: z.strictObject({ position: Position }),
    reply: z.object({ instance: z.string(), position: Position }),
  }),
  shredConnectionKey: operation('vault.connection_key.shred', {
    owner: 'vault',
    callers: ['revocation'],
    scope: 'service',
    summary: 'Shreds the data key of a connection whose deletion stands in the log, and appends ConnectionKeyShredded.',
    request: z.strictObject({ ...ConnectionKey }),
    reply: z.object({ position: Position }),
  }),
  keysStatus: operation('vault.keys.status', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: "Tells which versions of a tenant's key its data keys need, and from when on its shreddings are complete.",
    request: KeysStatusRequest,
    reply: KeysStatus,
  }),
  keysRewrap: operation('vault.keys.rewrap', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: "Wraps the next batch of a tenant's data keys anew, and tells how far it is; repeats do what is left.",
    request: KeysRewrapRequest,
    reply: KeysRewrapped,
  }),
  keysRetired: operation('vault.keys.retired', {
    owner: 'vault',
    callers: ['administrator'],
    scope: 'service',
    summary: "Takes down that versions of a tenant's key are gone from the key service; repeats answer the same.",
    request: KeysRetiredRequest,
    reply: KeysRetired,
  }),
});

export type OperationKey = keyof typeof operations;

/** The platform token of a subject on which an administrator acts for a whole tenant. */
export const administratorToken = 'administrator';

/** The literal subject of a call. Ids must have been checked (they are schema-typed everywhere). */
export function operationSubject(
  op: Operation,
  caller: { tenantId: string; platformId: string } | { app: IdentityName },
): string {
  return 'app' in caller ? `${op.name}.${caller.app}` : `${op.name}.${caller.tenantId}.${caller.platformId}`;
}

/** The subject on which an operation is served. */
export function operationPattern(op: Operation): string {
  return op.scope === 'platform' ? `${op.name}.*.*` : `${op.name}.*`;
}

/** Who called, as the subject proves it. */
export type CallerOf =
  | { readonly tenantId: string; readonly platformId: string; readonly app?: undefined }
  | { readonly app: string };

/** Reads the caller from the literal subject of a request. */
export function callerOf(op: Operation, subject: string): CallerOf {
  const rest = subject.slice(op.name.length + 1).split('.');
  return op.scope === 'platform' ? { tenantId: rest[0] ?? '', platformId: rest[1] ?? '' } : { app: rest[0] ?? '' };
}
