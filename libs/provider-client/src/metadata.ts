import { PosternError } from '@postern/contracts';
import type { Provider, ResolvedProvider } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import { assertReachable, type GuardedFetch } from './guarded-fetch.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** What every call of `oauth4webapi` is given, so that none leaves by another way. @internal */
export interface GuardedHttp {
  readonly [oauth.customFetch]: GuardedFetch;
  readonly [oauth.allowInsecureRequests]: true;
}

/**
 * Asks an issuer for its metadata. Where it sends a browser or a code is judged like any other URL.
 *
 * @throws {ProviderCallError} and what `oauth4webapi` throws.
 * @source OpenID Connect Discovery 1.0 §4, RFC 8414 §3
 * @internal
 */
export async function fetchMetadata(input: {
  readonly issuer: string;
  readonly metadata: Provider['discoveryMetadata'];
  readonly http: GuardedHttp;
  readonly allowLoopback: boolean;
}): Promise<oauth.AuthorizationServer> {
  const issuer = new URL(input.issuer);
  const response = await (input.metadata === 'either'
    ? firstMetadata(issuer, input.http)
    : oauth.discoveryRequest(issuer, { ...input.http, algorithm: algorithms[input.metadata] }));
  if (response.status !== 200) throw new ProviderCallError('invalid_answer', { httpStatus: response.status });
  const server = await oauth.processDiscoveryResponse(issuer, response);
  if (input.metadata === 'either') assertOfMcp(server, input.issuer);
  for (const endpoint of [server.authorization_endpoint, server.token_endpoint]) {
    if (endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
    assertReachable(endpoint, input.allowLoopback);
  }
  return server;
}

const algorithms = { 'openid-configuration': 'oidc', 'oauth-authorization-server': 'oauth2' } as const;

/** The well-known places in the order of the specification of MCP; a place without metadata leads to the next. */
async function firstMetadata({ origin, pathname }: URL, http: GuardedHttp): Promise<Response> {
  const path = pathname.replace(/\/$/, '');
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    ...(path === '' ? [] : [`${origin}${path}/.well-known/openid-configuration`]),
  ];
  for (const place of places) {
    const headers = { accept: 'application/json' };
    const response = await http[oauth.customFetch](place, { method: 'GET', headers });
    if (response.status === 200 || response.status >= 500) return response;
  }
  throw new ProviderCallError('metadata_incomplete');
}

/**
 * The issuer letter for letter, and PKCE by word and not by hope.
 *
 * @source MCP 2026-07-28, authorization server discovery and security considerations
 */
function assertOfMcp(server: oauth.AuthorizationServer, issuer: string): void {
  if (server.issuer !== issuer) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
  if (server.code_challenge_methods_supported?.includes('S256') !== true) {
    throw new ProviderCallError('metadata_incomplete');
  }
}

/** The metadata of a provider whose endpoints its file knows. @internal */
export function metadataOf(
  { issuer, endpoints }: ResolvedProvider & { kind: 'known' },
  { authorizationResponseIss }: Provider,
): oauth.AuthorizationServer {
  return {
    issuer,
    authorization_response_iss_parameter_supported: authorizationResponseIss,
    ...(endpoints.authorizationEndpoint !== null && { authorization_endpoint: endpoints.authorizationEndpoint }),
    token_endpoint: endpoints.tokenEndpoint,
    ...(endpoints.revocationEndpoint !== null && { revocation_endpoint: endpoints.revocationEndpoint }),
    ...(endpoints.introspectionEndpoint !== null && { introspection_endpoint: endpoints.introspectionEndpoint }),
    ...(endpoints.pushedAuthorizationRequestEndpoint !== undefined && {
      pushed_authorization_request_endpoint: endpoints.pushedAuthorizationRequestEndpoint,
    }),
    ...(endpoints.deviceAuthorizationEndpoint !== undefined && {
      device_authorization_endpoint: endpoints.deviceAuthorizationEndpoint,
    }),
  };
}

/**
 * Does what asks for metadata, and says in our words why there is none.
 *
 * @throws {PosternError} `provider.unreachable`, `provider.answer_invalid`, `registration.insecure_endpoint`
 * @internal
 */
export async function codedDiscovery<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { reason } = callErrorFrom(error);
    const message = `The provider's metadata could not be had: ${reason}.`;
    if (reason === 'insecure_url' || reason === 'address_refused')
      throw new PosternError('registration.insecure_endpoint', message);
    const unreachable = reason === 'unreachable' || reason === 'timeout' || reason === 'interrupted';
    throw new PosternError(unreachable ? 'provider.unreachable' : 'provider.answer_invalid', message);
  }
}

/** What `oauth4webapi` throws carries bodies and claims; only that the answer was wrong goes on. @internal */
export function callErrorFrom(error: unknown): ProviderCallError {
  if (error instanceof ProviderCallError) return error;
  const ofAnswer =
    error instanceof oauth.OperationProcessingError ||
    error instanceof oauth.UnsupportedOperationError ||
    error instanceof oauth.ResponseBodyError ||
    error instanceof oauth.WWWAuthenticateChallengeError;
  if (ofAnswer) return new ProviderCallError('invalid_answer', { httpStatus: 200 });
  throw error;
}
