import type { AuthorizationDetails } from '@postern/contracts';
import type { Provider } from '@postern/provider-catalog';
import type { AuthorizationServer } from 'oauth4webapi';

import { ProviderCallError } from './provider-call-error.ts';

/** One authorization request, as the browser carries it. */
export interface AuthorizationRequest {
  readonly redirectUri: string;
  readonly state: string;
  /** S256. */
  readonly codeChallenge: string;
  readonly scopes: readonly string[];
  /** Only with the scope `openid`; then the ID token must repeat it. */
  readonly nonce?: string | undefined;
  /** Only where the provider wanted them. @source OpenID Connect Core 1.0 §5.5 */
  readonly claims?: string | undefined;
  /** The key to which the tokens will be bound, so that a stolen code is of no use to another. @source RFC 9449 §10 */
  readonly dpopJkt?: string | undefined;
  /** What the token is for. @source RFC 8707 §2.1 */
  readonly resource?: string | undefined;
  /** What exactly is asked for. @source RFC 9396 §3 */
  readonly authorizationDetails?: AuthorizationDetails | undefined;
}

/**
 * The authorization request, as a browser or a push carries it. PKCE is part of it unless the provider's file has evidence that
 * the provider breaks on it. What the provider's file adds never replaces what OAuth
 * asks for.
 *
 * @source RFC 6749 §4.1.1, RFC 7636 §4.3
 * @internal
 */
export function authorizationParameters(input: {
  readonly provider: Provider;
  readonly clientId: string;
  readonly request: AuthorizationRequest;
}): Record<string, string> {
  const { provider, clientId, request } = input;
  return {
    ...provider.authorizationParameters,
    response_type: 'code',
    client_id: clientId,
    redirect_uri: request.redirectUri,
    state: request.state,
    ...(!provider.withoutPkce && { code_challenge: request.codeChallenge, code_challenge_method: 'S256' }),
    ...(request.scopes.length > 0 && { [provider.scopeParameter]: request.scopes.join(provider.scopeSeparator) }),
    ...(request.nonce !== undefined && { nonce: request.nonce }),
    ...(request.claims !== undefined && { claims: request.claims }),
    ...(request.dpopJkt !== undefined && { dpop_jkt: request.dpopJkt }),
    ...(request.resource !== undefined && { resource: request.resource }),
    ...(request.authorizationDetails !== undefined && {
      authorization_details: JSON.stringify(request.authorizationDetails),
    }),
  };
}

/** The authorization endpoint with a query. @internal */
export function authorizationUrl(endpoint: string, parameters: Readonly<Record<string, string>>): URL {
  const url = new URL(endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}

/**
 * Is the authorization request pushed, so that the browser carries no more of it than a name for it? Wherever the server
 * takes it: what a browser does not carry, nobody reads or changes on the way.
 *
 * @throws {ProviderCallError} `metadata_incomplete` where it must be, and there is no endpoint for it.
 * @source RFC 9126 §5
 * @internal
 */
export function isPushed(server: AuthorizationServer, { pushedAuthorizationRequests: support }: Provider): boolean {
  const required = support === 'required' || server.require_pushed_authorization_requests === true;
  const exists = server.pushed_authorization_request_endpoint !== undefined;
  if (required && !exists) throw new ProviderCallError('metadata_incomplete');
  return required || (exists && support !== 'unsupported');
}
