import { z } from 'zod';

import { AdministratorId, ConnectionId, PlatformId, RegistrationId, TenantId } from './ids.ts';
import { limits } from './limits.ts';
import { DeliveredType } from './notifications.ts';
import { RegistrationSecretKind } from './registration-secrets.ts';
import type { AdminAggregate } from './subjects.ts';
import { ProviderVersion, Scopes, SigningPublicJwk, TimeMs } from './wire.ts';

const Name = z.string().trim().min(1).max(120);
const Reason = z.string().max(limits.reasonCharsMax).nullable();
const NatsUser = z.string().regex(/^U[A-Z2-7]{55}$/);

/** A URL to which a browser may be sent back: exact, without fragment. @source RFC 9700 §2.1 */
export const ReturnUrl = z
  .url({ protocol: /^https?$/ })
  .max(limits.returnUrlCharsMax)
  .refine((text) => !text.includes('#'), 'must have no fragment')
  .refine(isHttpsOrLoopback, 'must be https, or http on the loopback');

/** Plain http is acceptable only where nobody else can listen: on the loopback interface. */
export function isHttpsOrLoopback(url: string | URL): boolean {
  const parsed = typeof url === 'string' ? URL.parse(url) : url;
  if (parsed === null) return false;
  const { protocol, hostname } = parsed;
  if (protocol === 'https:') return true;
  return (
    protocol === 'http:' && (hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname))
  );
}

/** How a client authenticates at the token endpoint. @source RFC 7591 §2, RFC 8705 §2 */
export const TokenEndpointAuthMethod = z.enum([
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
]);

/** A client certificate, by what is no secret of it. */
export const CertificateFacts = z.object({
  /** SHA-256, base64url. @source RFC 8705 §3.1 */
  x5tS256: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  notAfterMs: TimeMs,
});
export type CertificateFacts = z.infer<typeof CertificateFacts>;

/** An absolute URI without fragment. @source RFC 8707 §2 */
export const ResourceUri = z
  .url()
  .max(2048)
  .refine((text) => !text.includes('#'), 'must have no fragment');

/** Connections of one client registration: what a transmitter may speak about. */
export const SpokenFor = z.object({ tenantId: TenantId, registrationId: RegistrationId });
const SpeaksFor = z.array(SpokenFor).min(1).max(64);

/** Where a transmitter's keys and events are fetched from: no place where others can listen. */
export const FetchedUrl = z.url().max(2048).refine(isHttpsOrLoopback, 'must be https, or http on the loopback');

/** How security events come. @source RFC 8935 (push), RFC 8936 (poll) */
export const SecurityEventDelivery = z.discriminatedUnion('method', [
  z.object({
    method: z.literal('push'),
    /** SHA-256 of what the transmitter must send as its bearer token, made by us; null where it sends none. */
    bearerHash: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .nullable(),
  }),
  z.object({
    method: z.literal('poll'),
    endpoint: FetchedUrl,
    /** The bearer token for the endpoint is the webhook secret of this registration; null where none is wanted. */
    bearerOf: SpokenFor.nullable(),
  }),
]);

const event = <S extends z.ZodType>(aggregate: AdminAggregate, summary: string, data: S) =>
  ({ version: 1, writer: 'administrator', aggregate, summary, data }) as const;

/** Where a tenant hears of its connections. */
export const WebhookUrl = FetchedUrl.refine(hasNoExtras, 'must have neither a user, a password nor a fragment');

function hasNoExtras(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '' && !text.includes('#');
}

/** Whose decision it is: an administrator's signature over {@link administratorStatement}. */
export const SignedBy = z.object({
  administratorId: AdministratorId,
  /** Ed25519, base64url. */
  signature: z.string().regex(/^[A-Za-z0-9_-]{86}$/),
});
export type SignedBy = z.infer<typeof SignedBy>;

/** An administrator's public key; `kid` is its thumbprint. @source RFC 8037 §2, RFC 7638 */
export const AdministratorJwk = z.object({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
});
export type AdministratorJwk = z.infer<typeof AdministratorJwk>;

/** Counts the signed decisions of an aggregate, so that each signature is good once. */
const DecisionNumber = z.number().int().positive();

/** The worst that scopes allow, from the provider's matrix; `unknown` where it does not tell. */
export const ApprovedRisk = z.enum(['read', 'write', 'destructive', 'money', 'admin', 'unknown']);
export type ApprovedRisk = z.infer<typeof ApprovedRisk>;

/** What a tenant may use at a provider. */
const ApprovedContent = {
  number: DecisionNumber,
  /** Of the provider's file, as it was looked at. */
  fileVersion: ProviderVersion,
  scopes: Scopes,
  hosts: z.array(z.string().max(256)).max(64),
  risk: ApprovedRisk,
} as const;

/** The events of configuration, on ADMIN: who uses Postern and how, evented like everything else. */
export const adminEvents = Object.freeze({
  TenantCreated: event('tenant', 'A tenant began.', z.object({ name: Name })),
  TenantDisabled: event('tenant', 'Everything of the tenant is refused.', z.object({ reason: Reason })),
  PlatformCreated: event(
    'platform',
    'A platform began.',
    z.object({ name: Name, returnUrls: z.array(ReturnUrl).max(20) }),
  ),
  PlatformSecretIssued: event(
    'platform',
    'A client secret was shown once; only its Argon2id hash stays. Older secrets end.',
    z.object({ secretHash: z.string().startsWith('$argon2id$').max(256) }),
  ),
  PlatformCredentialsIssued: event(
    'platform',
    'A NATS user was made for the platform.',
    z.object({ natsUser: NatsUser }),
  ),
  PlatformDisabled: event('platform', 'Everything of the platform is refused.', z.object({ reason: Reason })),
  AgentCreated: event('agent', 'An agent of a platform began.', z.object({ platformId: PlatformId, name: Name })),
  AgentDisabled: event('agent', 'The agent is refused.', z.object({ reason: Reason })),
  AdministratorCreated: event(
    'administrator',
    'An administrator began; the label names a role, not a person.',
    z.object({ label: Name }),
  ),
  AdministratorCredentialsIssued: event(
    'administrator',
    'A NATS user was made for the administrator.',
    z.object({ natsUser: NatsUser }),
  ),
  AdministratorDisabled: event('administrator', 'The administrator is refused.', z.object({ reason: Reason })),
  RegistrationCreated: event(
    'registration',
    'Our client at a provider.',
    z.object({
      providerId: z.string().max(64),
      displayName: Name,
      clientId: z.string().min(1).max(512),
      tokenEndpointAuthMethod: TokenEndpointAuthMethod,
      /** Values for the provider file's parameters, such as `issuer`. */
      parameters: z.record(z.string().max(64), z.string().max(2048)),
      scopes: Scopes,
      /** The `aud` of what the vault signs for this client; only where it signs assertions or authorization requests. */
      assertionAudience: z.url().max(2048).optional(),
      /** Only where its tokens are bound to a key of each connection. @source RFC 9449 §5.2 */
      dpopBoundAccessTokens: z.literal(true).optional(),
      /** Only where its tokens are bound to its client certificate. @source RFC 8705 §3.4 */
      tlsClientCertificateBoundAccessTokens: z.literal(true).optional(),
      /** What its tokens are for, said with every request. @source RFC 8707 §2 */
      resource: ResourceUri.optional(),
      /** Only where its authorization requests are signed by the vault. @source RFC 9101 §10.5 */
      requireSignedRequestObject: z.literal(true).optional(),
    }),
  ),
  RegistrationSecretStored: {
    ...event(
      'registration',
      'The vault holds a new secret of this kind, which is the one in use from now on.',
      z.object({
        kind: RegistrationSecretKind,
        secretVersion: z.number().int().positive(),
        /** Until when the one before it may still be used; null until it is retired. */
        previousEndsAtMs: TimeMs.nullable(),
        /** Of a private key: what the provider needs to check its signatures. */
        publicJwk: SigningPublicJwk.nullable(),
        /** Of a client certificate alone. */
        certificate: CertificateFacts.optional(),
      }),
    ),
    version: 2,
  },
  RegistrationSecretRetired: event(
    'registration',
    'An older secret is not used any more.',
    z.object({ kind: RegistrationSecretKind, secretVersion: z.number().int().positive() }),
  ),
  RegistrationDisabled: event('registration', 'The registration is refused.', z.object({ reason: Reason })),
  TransmitterCreated: event(
    'transmitter',
    'Somebody whose security events are believed, about the connections of these registrations alone.',
    z.object({
      displayName: Name,
      /** The `iss` of its tokens, letter for letter. */
      issuer: z.string().min(1).max(2048),
      /** One of them must stand in `aud`. */
      audiences: z.array(z.string().min(1).max(2048)).min(1).max(32),
      jwksUri: FetchedUrl,
      /** Whether a token must call itself `secevent+jwt`. */
      typeRequired: z.boolean(),
      delivery: SecurityEventDelivery,
      speaksFor: SpeaksFor,
    }),
  ),
  TransmitterScopeChanged: event(
    'transmitter',
    'From now on it may speak about these registrations, and no others.',
    z.object({ speaksFor: SpeaksFor }),
  ),
  BridgeCreated: event(
    'bridge',
    'Somebody who hears of ends by other ways and publishes signals, about the connections of these registrations alone.',
    z.object({ displayName: Name, speaksFor: SpeaksFor }),
  ),
  BridgeCredentialsIssued: event('bridge', 'A NATS user was made for the bridge.', z.object({ natsUser: NatsUser })),
  BridgeDisabled: event('bridge', 'Nothing it says is taken.', z.object({ reason: Reason })),
  WebhookCreated: event(
    'webhook',
    'Where a tenant hears of its connections, signed.',
    z.object({
      name: Name,
      url: WebhookUrl,
      /** Of which types it hears; of every type when there are none. */
      types: z.array(DeliveredType).max(64),
    }),
  ),
  WebhookSecretStored: event(
    'webhook',
    'The vault holds a new secret, with which deliveries are signed from now on.',
    z.object({
      secretVersion: z.number().int().positive(),
      /** Until when deliveries are signed with the one before it too. */
      previousEndsAtMs: TimeMs,
    }),
  ),
  WebhookDisabled: event('webhook', 'Nothing is sent to it any more.', z.object({ reason: Reason })),
  WebhookGone: {
    ...event(
      'webhook',
      'It answered 410 Gone: nothing is sent to it any more.',
      z.object({
        /** What it was sent, as `webhook-id` named it. */
        messageId: z.string().max(256),
      }),
    ),
    writer: 'notifier',
  },
  TransmitterDisabled: event('transmitter', 'Nothing it says is taken.', z.object({ reason: Reason })),
  RolloutCreated: event(
    'rollout',
    'From now on the tenant decides which version of this provider’s file its connections use.',
    z.object({ providerId: z.string().min(1).max(64) }),
  ),
  ProviderCanaryStarted: event(
    'rollout',
    'Some connections use another version of the provider’s file, to see how it does.',
    z.object({
      version: ProviderVersion,
      /** What new connections outside of the canary are made with meanwhile. */
      otherwise: ProviderVersion,
      /** How many of the connections, beside the named ones; always the same ones for a version. */
      sharePercent: z.number().min(0).max(100),
      connectionIds: z.array(ConnectionId).max(256),
      registrationIds: z.array(RegistrationId).max(64),
    }),
  ),
  ProviderVersionPromoted: event(
    'rollout',
    'New connections are made with this version of the provider’s file; a canary is over.',
    z.object({
      version: ProviderVersion,
      /** Whether connections that were made with another version use it too. */
      carriesConnections: z.boolean(),
    }),
  ),
  ProviderVersionRolledBack: event(
    'rollout',
    'This version of the provider’s file is used no more: each connection goes back to the one before.',
    z.object({ version: ProviderVersion, reason: Reason }),
  ),
  PinPolicyChanged: event(
    'rollout',
    'Whether a re-authorization moves a connection to the version that new connections get.',
    z.object({ reauthorizationMovesPin: z.boolean() }),
  ),
  GovernanceCreated: event('governance', 'The tenant has administrators who sign.', z.object({})),
  AdministratorAdded: event(
    'governance',
    'An administrator’s public key; the private one is nowhere here. The name is a role’s, not a person’s.',
    z.object({
      number: DecisionNumber,
      administratorId: AdministratorId,
      name: Name,
      publicJwk: AdministratorJwk,
      /** Who vouches for it; null for the first, which whoever held the data folder recorded. */
      by: SignedBy.nullable(),
    }),
  ),
  AdministratorRemoved: event(
    'governance',
    'The signature of this administrator is good for nothing new.',
    z.object({ number: DecisionNumber, administratorId: AdministratorId, reason: Reason, by: SignedBy }),
  ),
  TenantPolicyChanged: event(
    'governance',
    'Whether a second administrator must approve providers and scopes, and whether high risk may be added to a connection.',
    z.object({
      number: DecisionNumber,
      approvals: z.enum(['required', 'none']),
      highRiskConnections: z.enum(['own', 'any']),
      by: SignedBy,
    }),
  ),
  ApprovalCreated: event(
    'approval',
    'From now on the log tells what the tenant may use at this provider.',
    z.object({ providerId: z.string().min(1).max(64) }),
  ),
  ApprovalRequested: event(
    'approval',
    'An administrator asks that the tenant may use the provider so.',
    z.object({ ...ApprovedContent, reason: Reason, by: SignedBy }),
  ),
  ApprovalGranted: event(
    'approval',
    'Another administrator approved what was asked for.',
    z.object({ ...ApprovedContent, by: SignedBy }),
  ),
  ApprovalDenied: event(
    'approval',
    'The request was refused, or what was approved is withdrawn.',
    z.object({ number: DecisionNumber, reason: Reason, by: SignedBy }),
  ),
} as const);

export type AdminEventType = keyof typeof adminEvents;

/** An event on ADMIN, discriminated by `type`. */
export type AdminEvent = {
  [T in AdminEventType]: {
    type: T;
    version: number;
    data: z.infer<(typeof adminEvents)[T]['data']>;
  };
}[AdminEventType];
