import type { Provider } from '@postern/provider-catalog';

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
  /** What the token is for. @source RFC 8707 §2.1 */
  readonly resource?: string | undefined;
}

/**
 * The authorization endpoint with its query. What the provider's file adds never replaces what OAuth asks for.
 *
 * @source RFC 6749 §4.1.1, RFC 7636 §4.3
 * @internal
 */
export function authorizationUrl(input: {
  readonly endpoint: string;
  readonly provider: Provider;
  readonly clientId: string;
  readonly request: AuthorizationRequest;
}): URL {
  const { endpoint, provider, clientId, request } = input;
  const url = new URL(endpoint);
  const parameters = {
    ...provider.authorizationParameters,
    response_type: 'code',
    client_id: clientId,
    redirect_uri: request.redirectUri,
    state: request.state,
    code_challenge: request.codeChallenge,
    code_challenge_method: 'S256',
    ...(request.scopes.length > 0 && { [provider.scopeParameter]: request.scopes.join(provider.scopeSeparator) }),
    ...(request.nonce !== undefined && { nonce: request.nonce }),
    ...(request.claims !== undefined && { claims: request.claims }),
    ...(request.resource !== undefined && { resource: request.resource }),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url;
}
