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
  const algorithm = input.metadata === 'openid-configuration' ? 'oidc' : 'oauth2';
  const response = await oauth.discoveryRequest(issuer, { ...input.http, algorithm });
  if (response.status !== 200) throw new ProviderCallError('invalid_answer', { httpStatus: response.status });
  const server = await oauth.processDiscoveryResponse(issuer, response);
  for (const endpoint of [server.authorization_endpoint, server.token_endpoint]) {
    if (endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
    assertReachable(endpoint, input.allowLoopback);
  }
  return server;
}

/** The metadata of a provider whose endpoints its file knows. @internal */
export function metadataOf(
  { issuer, endpoints }: ResolvedProvider & { kind: 'known' },
  { authorizationResponseIss }: Provider,
): oauth.AuthorizationServer {
  return {
    issuer,
    authorization_response_iss_parameter_supported: authorizationResponseIss,
    authorization_endpoint: endpoints.authorizationEndpoint,
    token_endpoint: endpoints.tokenEndpoint,
    ...(endpoints.revocationEndpoint !== null && { revocation_endpoint: endpoints.revocationEndpoint }),
    ...(endpoints.introspectionEndpoint !== null && { introspection_endpoint: endpoints.introspectionEndpoint }),
  };
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
