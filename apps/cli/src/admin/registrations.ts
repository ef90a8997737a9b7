import {
  limits,
  newId,
  operations,
  PosternError,
  type CertificateFacts,
  type JwsAlgorithm,
  type RegistrationSecretKind,
  type SigningPublicJwk,
  type TokenEndpointAuthMethod,
} from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import {
  createRegistration,
  registrationEvolver,
  retireRegistrationSecret,
  secretsInUse,
  storeRegistrationSecret,
  type Registration,
} from '@postern/domain';
import { loadCatalog, providerOf, requireSomeGrantType, resolveProvider } from '@postern/provider-catalog';
import type { z } from 'zod';

import type { Session } from '../session/session.ts';
import { decideAdmin } from './decide.ts';
import { sealedToVault } from './sealed-to-vault.ts';

export interface NewRegistration {
  /** Reserved before, so that its redirect URI could be entered at the provider first. */
  readonly registrationId?: string | undefined;
  readonly tenantId: string;
  readonly providerId: string;
  readonly displayName: string;
  readonly clientId: string;
  readonly tokenEndpointAuthMethod: z.infer<typeof TokenEndpointAuthMethod>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly scopes: readonly string[];
  /** For whom assertions are; what the provider's file says when absent. */
  readonly assertionAudience?: string | undefined;
  /** Has it a private key for something else than `private_key_jwt`? */
  readonly signs?: boolean | undefined;
  /** Its tokens are bound to a key of each connection. */
  readonly dpopBoundAccessTokens?: true | undefined;
  /** Its tokens are bound to its client certificate. */
  readonly tlsClientCertificateBoundAccessTokens?: true | undefined;
  /** What its tokens are for, where the provider's file does not say. */
  readonly resource?: string | undefined;
  /** Its authorization requests are signed by the vault. */
  readonly requireSignedRequestObject?: true | undefined;
}

/**
 * Creates our client at a provider; its redirect URI follows from its id.
 *
 * @throws {PosternError} before anything is made: `provider.not_found`, `provider.flow_unsupported`, and
 *   `request.malformed` for parameters that the provider does not have, or that do not fit, and
 *   `provider.feature_unsupported` for what it does not have.
 */
export async function createClientRegistration(
  session: Session,
  input: NewRegistration,
): Promise<{ registrationId: string; redirectUri: string }> {
  const { tenantId, registrationId = newId('registration'), assertionAudience, signs = false, ...rest } = input;
  const usual = audienceOf(input);
  await requireFeatures(session, input);
  const { tokenEndpointAuthMethod, requireSignedRequestObject } = rest;
  const isAsked = signs || tokenEndpointAuthMethod === 'private_key_jwt' || requireSignedRequestObject === true;
  if (assertionAudience !== undefined && !isAsked) {
    throw new PosternError('request.malformed', 'An audience is for what is signed: name a key, or leave it out.');
  }
  const audience = assertionAudience ?? (isAsked ? usual : undefined);
  const data = { ...rest, parameters: { ...rest.parameters }, scopes: [...rest.scopes], assertionAudience: audience };
  await decideAdmin(session, { evolver: registrationEvolver, tenantId, id: registrationId }, (state) =>
    createRegistration(data, state),
  );
  return { registrationId, redirectUri: redirectUriOf(session, registrationId) };
}

/** What is said of an MCP server that is to be registered; all else it says itself. */
export interface NewResource {
  readonly tenantId: string;
  readonly registrationId?: string | undefined;
  readonly displayName: string;
  readonly resource: string;
  readonly issuer?: string | undefined;
  /** Where somebody registered us at its authorization server already. */
  readonly clientId?: string | undefined;
  readonly tokenEndpointAuthMethod?: z.infer<typeof TokenEndpointAuthMethod> | undefined;
  /** Beside those that the server asks for. */
  readonly scopes: readonly string[];
}

/**
 * Creates our client at the authorization server of an MCP server: by the document at our own URL, or registered there
 * on the way. The registration is bound to that authorization server for ever.
 *
 * @throws {PosternError} what `authorization` found out; `registration.client_id_needed` where only somebody's hand can
 *   register us
 */
export async function registerResource(
  session: Session,
  input: NewResource,
): Promise<{ registrationId: string; redirectUri: string; issuer: string; clientId: string; secretVersion?: number }> {
  const { tenantId, registrationId = newId('registration'), displayName } = input;
  const wanted = input.tokenEndpointAuthMethod ?? 'none';
  const met = await session.call(operations.meetResource, tenantId, {
    tenant_id: tenantId,
    registration_id: registrationId,
    resource: input.resource,
    issuer: input.issuer,
    token_endpoint_auth_method: wanted === 'private_key_jwt' ? wanted : 'none',
    has_client: input.clientId !== undefined,
  });
  const clientId = input.clientId ?? met.client?.client_id;
  if (clientId === undefined) {
    throw new PosternError('registration.client_id_needed', `${met.issuer} registers nobody by itself.`);
  }
  const { redirectUri } = await createClientRegistration(session, {
    tenantId,
    registrationId,
    providerId: 'mcp',
    displayName,
    clientId,
    tokenEndpointAuthMethod: met.client?.token_endpoint_auth_method ?? wanted,
    parameters: { resource: met.resource, issuer: met.issuer },
    scopes: [...new Set([...met.scope, ...input.scopes])],
  });
  const made = { registrationId, redirectUri, issuer: met.issuer, clientId };
  const sealedSecret = met.client?.sealed_secret ?? null;
  if (sealedSecret === null) return made;
  return { ...made, secretVersion: await storeSealedSecret(session, { tenantId, registrationId, sealedSecret }) };
}

async function storeSealedSecret(
  session: Session,
  { sealedSecret, ...registration }: Rotation & { readonly sealedSecret: string },
): Promise<number> {
  const { tenantId, registrationId } = registration;
  const { secret_version: secretVersion } = await session.call(operations.storeClientSecret, tenantId, {
    tenant_id: tenantId,
    registration_id: registrationId,
    sealed_secret: sealedSecret,
  });
  await putIntoUse(session, registration, { kind: 'client_secret', secretVersion, publicJwk: null });
  return secretVersion;
}

/** Asks the provider's metadata, by way of who reaches it, only where something is wanted that not every provider has. */
async function requireFeatures(
  session: Session,
  { tenantId, providerId, parameters, ...input }: NewRegistration,
): Promise<void> {
  const { dpopBoundAccessTokens, tlsClientCertificateBoundAccessTokens, requireSignedRequestObject } = input;
  const wishes = [dpopBoundAccessTokens, tlsClientCertificateBoundAccessTokens, requireSignedRequestObject];
  if (wishes.every((wish) => wish === undefined)) return;
  const request = { provider: providerId, parameters: { ...parameters } };
  await session.call(operations.checkRegistration, tenantId, {
    ...request,
    dpop_bound_access_tokens: dpopBoundAccessTokens,
    tls_client_certificate_bound_access_tokens: tlsClientCertificateBoundAccessTokens,
    require_signed_request_object: requireSignedRequestObject,
  });
}

/** For whom its assertions are made out, unless somebody says otherwise. @source RFC 7523 §3 */
function audienceOf({ providerId, parameters, resource }: NewRegistration): string {
  const provider = providerOf(loadCatalog(), providerId);
  requireSomeGrantType(provider);
  if (resource !== undefined && (provider.namesResource || provider.resource !== null)) {
    throw new PosternError(
      'request.malformed',
      `What tokens of ${provider.name} are for, its file says: leave out --resource.`,
    );
  }
  const resolved = resolveProvider(provider, parameters);
  const isEndpoint = provider.assertion.audience === 'token_endpoint' && resolved.kind === 'known';
  return isEndpoint ? resolved.endpoints.tokenEndpoint : resolved.issuer;
}

/** The one redirect URI of a registration, to be entered at the provider exactly so. @source RFC 9700 §2.1 */
export function redirectUriOf(session: Session, registrationId: string): string {
  return `${session.publicUrl}/oauth/callback/${registrationId}`;
}

/** A registration, and how long what it has now stays usable beside what it gets; null until it is retired. */
interface Rotation {
  readonly tenantId: string;
  readonly registrationId: string;
  readonly overlapMs?: number | null;
}

/**
 * Puts a secret of a registration into the vault, sealed to the vault's pinned key, and into use.
 *
 * @effect the same secret again changes nothing; another one is the next version.
 */
export async function storeSecret(
  session: Session,
  input: Rotation & { readonly kind: 'client_secret' | 'webhook_secret'; readonly secret: Secret },
): Promise<number> {
  const { kind, secret, tenantId, registrationId } = input;
  const operation = kind === 'client_secret' ? operations.storeClientSecret : operations.storeWebhookSecret;
  const { secret_version: secretVersion } = await session.call(operation, tenantId, {
    tenant_id: tenantId,
    registration_id: registrationId,
    sealed_secret: sealedToVault(session, { reg: registrationId }, Buffer.from(secret.reveal())),
  });
  await putIntoUse(session, input, { kind, secretVersion, publicJwk: null });
  return secretVersion;
}

/**
 * Puts a client certificate, its chain and its private key into the vault, sealed to the vault's pinned key, and into use.
 *
 * @effect the same one again changes nothing; another one is the next version.
 * @throws {PosternError} `request.malformed` for what is no such chain with its key, or has expired.
 */
export async function storeCertificate(
  session: Session,
  input: Rotation & { readonly certificate: Secret },
): Promise<{ secretVersion: number; certificate: CertificateFacts }> {
  const { certificate: pem, tenantId, registrationId } = input;
  const { secret_version: secretVersion, certificate: found } = await session.call(
    operations.storeTlsCertificate,
    tenantId,
    {
      tenant_id: tenantId,
      registration_id: registrationId,
      sealed_certificate: sealedToVault(session, { reg: registrationId }, Buffer.from(pem.reveal())),
    },
  );
  const certificate = { x5tS256: found.x5t_s256, notAfterMs: Date.parse(found.not_after) };
  await putIntoUse(session, input, { kind: 'tls_certificate', secretVersion, publicJwk: null, certificate });
  return { secretVersion, certificate };
}

/** Has the vault make a private key, or gives it one that the provider knows already, and puts it into use. */
export async function storePrivateKey(
  session: Session,
  input: Rotation & { readonly key: Secret | z.infer<typeof JwsAlgorithm> },
): Promise<{ secretVersion: number; publicJwk: SigningPublicJwk }> {
  const { key, tenantId, registrationId } = input;
  const request = { tenant_id: tenantId, registration_id: registrationId };
  const { secret_version: secretVersion, public_jwk: publicJwk } =
    typeof key === 'string'
      ? await session.call(operations.makePrivateKey, tenantId, { ...request, algorithm: key })
      : await session.call(operations.importPrivateKey, tenantId, {
          ...request,
          sealed_key: sealedToVault(session, { reg: registrationId }, Buffer.from(key.reveal())),
        });
  await putIntoUse(session, input, { kind: 'private_key', secretVersion, publicJwk });
  return { secretVersion, publicJwk };
}

/** Ends an older secret, here and in the vault. @effect May be repeated. */
export async function retireSecret(
  session: Session,
  input: { tenantId: string; registrationId: string; kind: RegistrationSecretKind; secretVersion: number },
): Promise<void> {
  const { tenantId, registrationId, kind, secretVersion } = input;
  await decideAdmin(session, { evolver: registrationEvolver, tenantId, id: registrationId }, (state) =>
    retireRegistrationSecret({ kind, secretVersion }, state),
  );
  await deleteEnded(session, input);
}

/** The keys that a provider must know to check our signatures, the previous one of a rotation among them. */
export function jwksOf(registration: Registration, nowMs: number): { keys: SigningPublicJwk[] } {
  const inUse = secretsInUse(registration, { kind: 'private_key', nowMs });
  return { keys: inUse.flatMap(({ publicJwk }) => (publicJwk === null ? [] : [publicJwk])) };
}

async function putIntoUse(
  session: Session,
  { tenantId, registrationId, overlapMs = limits.secretOverlapMs }: Rotation,
  stored: {
    kind: RegistrationSecretKind;
    secretVersion: number;
    publicJwk: SigningPublicJwk | null;
    certificate?: CertificateFacts;
  },
): Promise<void> {
  await decideAdmin(session, { evolver: registrationEvolver, tenantId, id: registrationId }, (state, { nowMs }) =>
    storeRegistrationSecret({ ...stored, overlapMs, nowMs }, state),
  );
  await deleteEnded(session, { tenantId, registrationId, kind: stored.kind });
}

async function deleteEnded(
  session: Session,
  { tenantId, registrationId, kind }: { tenantId: string; registrationId: string; kind: RegistrationSecretKind },
): Promise<void> {
  const request = { tenant_id: tenantId, registration_id: registrationId, kind };
  await session.call(operations.deleteEndedSecrets, tenantId, request);
}
