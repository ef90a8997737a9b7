import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import * as oauth from 'oauth4webapi';

import { authorizationParameters, authorizationUrl, isPushed, type AuthorizationRequest } from './authorization-url.ts';
import type { Callback } from './callback.ts';
import { exchangedFrom, withProbedAccount } from './exchanged.ts';
import { codedDiscovery } from './metadata.ts';
import type { Exchanged, Refusal } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';
import { mayPass } from './refusal.ts';

/** Signs an authorization request; the key is elsewhere. @returns the request object @source RFC 9101 §4 */
export type RequestSigner = (parameters: Readonly<Record<string, string>>) => Promise<string>;

/** What is asked at the token endpoint with a code. */
export interface CodeExchange {
  readonly callback: Callback & { readonly kind: 'code' };
  /** Exactly the one of the authorization request. */
  readonly redirectUri: string;
  readonly codeVerifier: Secret;
  /** What went with the authorization request, null when nothing did: then no ID token may carry one. */
  readonly nonce: string | null;
  /** They count as granted when the answer names none. @source RFC 6749 §5.1 */
  readonly requestedScopes: readonly string[];
}

/**
 * Where the browser goes to authorize. Where requests are signed, all of it is in one signed object: nobody on its way
 * changes it.
 *
 * @param sign absent where the registration's requests are not signed
 * @source RFC 9101 §5, RFC 9126 §4
 * @internal
 */
export async function browserUrl(
  calls: ProviderCalls,
  { request, sign }: { readonly request: AuthorizationRequest; readonly sign: RequestSigner | undefined },
): Promise<URL> {
  const { provider } = calls;
  const { client_id: clientId } = calls.client;
  const { server, pushed } = await codedDiscovery(async () => {
    const found = await calls.server();
    return { server: found, pushed: isPushed(found, provider) };
  });
  const endpoint = server.authorization_endpoint ?? '';
  const asked = authorizationParameters({ provider, clientId, request: { ...request, ...calls.resourceParameter } });
  const parameters = sign === undefined ? asked : { client_id: clientId, request: await sign(asked) };
  if (!pushed) return authorizationUrl(endpoint, parameters);
  return authorizationUrl(endpoint, { client_id: clientId, request_uri: await push(calls, parameters) });
}

async function push(calls: ProviderCalls, parameters: Record<string, string>): Promise<string> {
  const outcome = await calls.call({
    secrets: [],
    successStatus: 201,
    request: ({ server, authentication, http }) =>
      oauth.pushedAuthorizationRequest(server, calls.client, authentication, parameters, http),
    read: async (server, response) => {
      const answer = await oauth.processPushedAuthorizationResponse(server, calls.client, response);
      return { kind: 'pushed' as const, requestUri: answer.request_uri };
    },
  });
  if (outcome.kind === 'pushed') return outcome.requestUri;
  const why = `The provider did not take the authorization request: ${outcome.error}.`;
  throw new PosternError(mayPass(outcome) ? 'provider.unreachable' : 'provider.client_rejected', why);
}

/**
 * Spends an authorization code, once.
 *
 * @source RFC 6749 §4.1.3, RFC 7636 §4.5, OpenID Connect Core 1.0 §3.1.3.7
 * @internal
 */
export async function exchangeCode(calls: ProviderCalls, exchange: CodeExchange): Promise<Exchanged | Refusal> {
  const { callback, redirectUri, codeVerifier, nonce, requestedScopes } = exchange;
  const verifier = calls.provider.withoutPkce ? oauth.nopkce : codeVerifier.reveal();
  const sentAtMs = calls.nowMs();
  const outcome = await calls.tokenCall({
    secrets: [codeVerifier],
    request: ({ server, authentication, http }) => {
      const options = { ...http, additionalParameters: calls.resourceParameter };
      const { parameters } = callback;
      return oauth.authorizationCodeGrantRequest(
        server,
        calls.client,
        authentication,
        parameters,
        redirectUri,
        verifier,
        options,
      );
    },
    read: async (server, response) => {
      const options = nonce === null ? {} : { expectedNonce: nonce, requireIdToken: true };
      const answer = await oauth.processAuthorizationCodeResponse(server, calls.client, response, options);
      return exchangedFrom(calls, answer, { sentAtMs, requestedScopes });
    },
  });
  return outcome.kind === 'exchanged' ? await withProbedAccount(calls, outcome) : outcome;
}
