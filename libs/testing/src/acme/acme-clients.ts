import { randomBytes } from 'node:crypto';

import type { Provider } from 'oidc-provider';

import type { AcmeStore } from './acme-store.ts';

/** What a developer fills in to register an app at Acme; the ids are made up when absent. */
export interface AcmeClientRegistration {
  readonly redirectUris: readonly string[];
  readonly clientName?: string;
  readonly tokenEndpointAuthMethod?: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none';
  readonly clientId?: string;
  readonly clientSecret?: string;
  /** With `private_key_jwt`: the public keys of the app. @source RFC 7591 §2 */
  readonly jwks?: { readonly keys: readonly object[] };
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
  const clientSecret =
    method === 'none' || method === 'private_key_jwt'
      ? undefined
      : (registration.clientSecret ?? randomBytes(32).toString('base64url'));

  const clients = store.adapter('Client');
  await clients.upsert(clientId, {
    client_id: clientId,
    ...(clientSecret && { client_secret: clientSecret }),
    client_name: registration.clientName ?? clientId,
    redirect_uris: [...registration.redirectUris],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
    ...(registration.jwks && { jwks: registration.jwks }),
  });
  await provider.Client.find(clientId).catch(async (error: unknown) => {
    await clients.destroy(clientId);
    throw error;
  });
  return { clientId, ...(clientSecret && { clientSecret }) };
}
