import { randomBytes } from 'node:crypto';

import type { Provider } from 'oidc-provider';

import type { ClientsElsewhere } from './acme-identities.ts';
import type { AcmeStore } from './acme-store.ts';

/**
 * What becomes of a refresh token at its use: it stays (`stable`), or it is replaced and its second use brings fresh
 * tokens for a while (`grace`) or ends the whole family (`family`).
 *
 * @source RFC 9700 §4.14.2
 */
export type ReuseRule = 'stable' | 'grace' | 'family';

/** What a developer fills in to register an app at Acme; the ids are made up when absent. */
export interface AcmeClientRegistration {
  readonly redirectUris: readonly string[];
  readonly clientName?: string;
  readonly tokenEndpointAuthMethod?:
    | 'client_secret_basic'
    | 'client_secret_post'
    | 'private_key_jwt'
    | 'tls_client_auth'
    | 'self_signed_tls_client_auth'
    | 'none';
  readonly clientId?: string;
  readonly clientSecret?: string;
  /** With `private_key_jwt`: the public keys of the app. @source RFC 7591 §2 */
  readonly jwks?: { readonly keys: readonly object[] };
  /** Beside an authorization code and refresh tokens, its own client credentials bring it tokens. */
  readonly clientCredentials?: boolean;
  /** It may have tokens on behalf of others. @source RFC 8693 */
  readonly tokenExchange?: boolean;
  /** It is known at other authorization servers, to which this one asserts who its users are. */
  readonly clientsElsewhere?: ClientsElsewhere;
  /** It may have tokens for what another one asserts. @source draft-ietf-oauth-identity-assertion-authz-grant-04 */
  readonly identityAssertions?: boolean;
  /** It gets user codes. @source RFC 8628 */
  readonly deviceFlow?: boolean;
  /** With `tls_client_auth`: the name in its certificate. @source RFC 8705 §2.1.2 */
  readonly tlsName?: string;
  /** Its tokens are bound to its certificate. @source RFC 8705 §3.4 */
  readonly bindsToCertificate?: boolean;
  /** Its authorization requests come signed, and in no other way. @source RFC 9101 §10.5 */
  readonly signsRequests?: boolean;
  /** `family` when absent; the grace of `grace` is an hour, longer than any test. */
  readonly reuseRule?: ReuseRule;
}

/** A registered app's credentials; a public client (`none`) and one that signs have no secret. */
export interface AcmeClient {
  readonly clientId: string;
  readonly clientSecret?: string;
}

/** Registers an app, and lets oidc-provider judge its metadata at once rather than at its first request. */
export async function addClient(
  provider: Provider,
  store: AcmeStore,
  registration: AcmeClientRegistration,
): Promise<AcmeClient> {
  const method = registration.tokenEndpointAuthMethod ?? 'client_secret_basic';
  const clientId = registration.clientId ?? `app_${randomBytes(8).toString('hex')}`;
  const clientSecret = !method.startsWith('client_secret')
    ? undefined
    : (registration.clientSecret ?? randomBytes(32).toString('base64url'));

  const clients = store.adapter('Client');
  await clients.upsert(clientId, {
    client_id: clientId,
    ...(clientSecret && { client_secret: clientSecret }),
    client_name: registration.clientName ?? clientId,
    redirect_uris: [...registration.redirectUris],
    grant_types: [
      'authorization_code',
      'refresh_token',
      ...(registration.clientCredentials === true ? ['client_credentials'] : []),
      ...(registration.tokenExchange === true ? ['urn:ietf:params:oauth:grant-type:token-exchange'] : []),
      ...(registration.identityAssertions === true ? ['urn:ietf:params:oauth:grant-type:jwt-bearer'] : []),
      ...(registration.deviceFlow === true ? ['urn:ietf:params:oauth:grant-type:device_code'] : []),
    ],
    response_types: ['code'],
    token_endpoint_auth_method: method,
    ...(registration.jwks && { jwks: registration.jwks }),
    ...(registration.tlsName !== undefined && { tls_client_auth_san_dns: registration.tlsName }),
    ...(registration.bindsToCertificate === true && { tls_client_certificate_bound_access_tokens: true }),
    ...(registration.signsRequests === true && { require_signed_request_object: true }),
  });
  store.setReuseRule(clientId, registration.reuseRule ?? 'family');
  await provider.Client.find(clientId).catch(async (error: unknown) => {
    await clients.destroy(clientId);
    throw error;
  });
  return { clientId, ...(clientSecret && { clientSecret }) };
}
