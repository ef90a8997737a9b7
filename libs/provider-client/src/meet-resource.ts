import { PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import * as oauth from 'oauth4webapi';

import type { AddressGuard } from './address-guard.ts';
import { guardedFetch } from './guarded-fetch.ts';
import { callErrorFrom, codedDiscovery, fetchMetadata, type GuardedHttp } from './metadata.ts';
import { discoverResource, type DiscoveredResource } from './protected-resource.ts';

/** Our client metadata. @source RFC 7591 §2, draft-ietf-oauth-client-id-metadata-document-00 §4 */
export interface ClientDocument {
  /** The URL of the document itself. */
  readonly client_id: string;
  readonly client_name: string;
  readonly redirect_uris: readonly string[];
  readonly grant_types: readonly string[];
  readonly response_types: readonly string[];
  readonly token_endpoint_auth_method: string;
  readonly jwks?: { readonly keys: readonly object[] };
}

const dynamicMethods = ['client_secret_basic', 'client_secret_post', 'none'] as const;

/** How a client gets its id at an authorization server that it meets for the first time. */
export type NewClient =
  /** The server fetches the document at our own URL, which is the id. */
  | { readonly kind: 'metadata_document' }
  /** @source RFC 7591 §3.2.1 */
  | {
      readonly kind: 'registered';
      readonly clientId: string;
      readonly tokenEndpointAuthMethod: (typeof dynamicMethods)[number];
      readonly clientSecret: Secret | null;
      /** Null where the secret does not end. */
      readonly secretExpiresAtMs: number | null;
    }
  /** Somebody must register us there by hand. */
  | { readonly kind: 'by_hand' };

/** A protected resource, and the authorization server whose tokens it takes. */
export interface MetResource extends DiscoveredResource {
  readonly issuer: string;
  readonly client: NewClient;
}

/**
 * Meets a protected resource for the first time: what it is, who issues its tokens, and how we become a client there. By
 * our own metadata document where the server takes such, by dynamic registration only where it does not.
 *
 * @param input.issuer one of those that the resource names; the first of them when absent
 * @param input.document its `client_id` counts only where it is https
 * @param input.hasClient there is a client already: none is made
 * @effect registers a client there, each time it is called, where the server takes no documents
 * @throws {PosternError} `provider.unreachable`, `provider.answer_invalid`, `registration.insecure_endpoint`;
 *   `registration.issuer_changed` where the resource does not name the wanted issuer; `provider.rejected` where our
 *   registration is refused
 * @source MCP 2026-07-28, client registration
 */
export async function meetResource(input: {
  readonly url: string;
  readonly issuer?: string | undefined;
  readonly document: ClientDocument;
  readonly hasClient: boolean;
  readonly allowLoopback: boolean;
  /** Where it and its authorization server may be; anywhere when absent. */
  readonly addresses: AddressGuard | undefined;
}): Promise<MetResource> {
  const { url, document, allowLoopback } = input;
  const fetch = guardedFetch({ allowLoopback, addresses: input.addresses });
  const found = await codedDiscovery(() => discoverResource({ url, fetch }));
  const issuer = input.issuer ?? found.authorizationServers[0] ?? '';
  if (!found.authorizationServers.includes(issuer)) {
    throw new PosternError('registration.issuer_changed', 'The server does not name this authorization server.');
  }
  const http: GuardedHttp = { [oauth.customFetch]: fetch, [oauth.allowInsecureRequests]: true };
  const server = await codedDiscovery(() => fetchMetadata({ issuer, metadata: 'either', http, allowLoopback }));
  // Without it there would be no refresh token at many servers. @source MCP 2026-07-28, refresh tokens
  const offline = server.scopes_supported?.includes('offline_access') === true ? ['offline_access'] : [];
  const scopes = [...new Set([...found.scopes, ...offline])];
  const client = input.hasClient ? byHand : await newClient({ server, document, http });
  return { ...found, scopes, issuer, client };
}

const byHand = { kind: 'by_hand' } as const;

async function newClient({
  server,
  document,
  http,
}: {
  readonly server: oauth.AuthorizationServer;
  readonly document: ClientDocument;
  readonly http: GuardedHttp;
}): Promise<NewClient> {
  const takesDocuments = server['client_id_metadata_document_supported'] === true;
  if (takesDocuments && document.client_id.startsWith('https:')) return { kind: 'metadata_document' };
  if (server.registration_endpoint === undefined) return byHand;
  const supported = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  const method = dynamicMethods.find((one) => supported.includes(one)) ?? 'none';
  const isWeb = document.redirect_uris.every((uri) => uri.startsWith('https:'));
  const metadata = {
    client_name: document.client_name,
    redirect_uris: [...document.redirect_uris],
    grant_types: [...document.grant_types],
    response_types: [...document.response_types],
    token_endpoint_auth_method: method,
    application_type: isWeb ? 'web' : 'native',
  };
  try {
    const response = await oauth.dynamicClientRegistrationRequest(server, metadata, http);
    return registeredAs(await oauth.processDynamicClientRegistrationResponse(response), method);
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError || error instanceof oauth.WWWAuthenticateChallengeError) {
      throw new PosternError('provider.rejected', 'The authorization server refused to register us as its client.');
    }
    if (error instanceof PosternError) throw error;
    return await codedDiscovery(() => Promise.reject(callErrorFrom(error)));
  }
}

function registeredAs(client: oauth.Client, asked: (typeof dynamicMethods)[number]): NewClient {
  const said = client.token_endpoint_auth_method ?? asked;
  const method = dynamicMethods.find((one) => one === said);
  const secret = typeof client.client_secret === 'string' ? Secret.from(client.client_secret) : null;
  if (method === undefined || (method !== 'none' && secret === null)) {
    throw new PosternError('provider.answer_invalid', 'We were registered in a way that we did not ask for.');
  }
  const endsAtS = client['client_secret_expires_at'];
  return {
    kind: 'registered',
    clientId: client.client_id,
    tokenEndpointAuthMethod: method,
    clientSecret: method === 'none' ? null : secret,
    secretExpiresAtMs: typeof endsAtS === 'number' && endsAtS > 0 ? endsAtS * 1_000 : null,
  };
}
