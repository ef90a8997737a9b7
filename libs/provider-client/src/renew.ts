import type { Renewal, TokenSet } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import * as oauth from 'oauth4webapi';

import type { Asserted } from './identity-assertion.ts';
import { askForInstallationToken, type ShownAssertion } from './installation-token.ts';
import { callErrorFrom } from './metadata.ts';
import type { Refreshed, Refusal } from './outcomes.ts';
import type { ProviderCalls } from './provider-calls.ts';
import { failureOf } from './refusal.ts';
import { tokenSetFrom } from './token-answer.ts';
import {
  exchangedScopesMax,
  exchangeOutcome,
  requireExchanged,
  requireNoWider,
  tokenExchangeForm,
  tokenExchangeGrantType,
  type ShownTokens,
} from './token-exchange.ts';

type RenewalBy<G extends Renewal['grant']> = Extract<Renewal, { readonly grant: G }>;

/** @source RFC 7523 §2.1 */
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** What a refresh token is spent for. */
export interface Refreshing {
  readonly refreshToken: Secret;
  readonly grantedScopes: readonly string[];
  /** They stay where the answer names none. @source RFC 9396 §7 */
  readonly authorizationDetails?: TokenSet['authorizationDetails'];
}

/** @source RFC 6749 §6 @internal */
export async function refresh(
  calls: ProviderCalls,
  { refreshToken, grantedScopes, authorizationDetails }: Refreshing,
): Promise<Refreshed | Refusal> {
  const sentAtMs = calls.nowMs();
  return calls.tokenCall({
    secrets: [refreshToken],
    isRefresh: true,
    request: ({ server, authentication, http }) => {
      const options = { ...http, additionalParameters: calls.resourceParameter };
      return oauth.refreshTokenGrantRequest(server, calls.client, authentication, refreshToken.reveal(), options);
    },
    read: async (server, response) => {
      const tokenSet = tokenSetFrom({
        answer: await oauth.processRefreshTokenResponse(server, calls.client, response),
        provider: calls.provider,
        scopesOtherwise: grantedScopes,
        detailsOtherwise: authorizationDetails,
        refreshTokenOtherwise: refreshToken.reveal(),
        bound: calls.isBound,
        keepsIdentity: calls.keepsIdentity,
        sentAtMs,
      });
      return { kind: 'refreshed' as const, tokenSet, rotated: tokenSet.refreshToken !== refreshToken.reveal() };
    },
  });
}

/**
 * Asks for an access token in the way that the renewal says.
 *
 * @source RFC 6749 §4.4.2, §4.4.3, RFC 7523 §2.1, §3.1, RFC 8693 §2.1
 * @internal
 */
export async function renew(
  calls: ProviderCalls,
  {
    renewal,
    shown,
  }: { readonly renewal: Renewal; readonly shown: ShownTokens | ShownAssertion | Asserted | undefined },
): Promise<Refreshed | Refusal> {
  if (renewal.grant === 'client_credentials') return await byOwnCredentials(calls, renewal);
  if (renewal.grant === 'token_exchange') {
    if (shown === undefined || !('subject' in shown)) throw new Error('there is nothing to exchange');
    return await byExchange(calls, { renewal, shown });
  }
  if (shown === undefined || !('assertion' in shown)) throw new Error('nothing was signed');
  if (renewal.grant === 'installation') return await byInstallation(calls, { renewal, shown });
  if (renewal.grant === 'jwt_bearer') return await byAssertion(calls, { renewal, ...renewal, ...shown });
  const scopes = 'scopes' in shown ? shown.scopes : renewal.scopes;
  return await byAssertion(calls, { renewal, ...renewal, ...shown, scopes, scopesInAssertion: false });
}

async function byOwnCredentials(
  calls: ProviderCalls,
  renewal: RenewalBy<'client_credentials'>,
): Promise<Refreshed | Refusal> {
  const sentAtMs = calls.nowMs();
  const { scopes, parameters } = renewal;
  const form = { ...parameters, ...calls.resourceParameter, ...calls.scopeParameter(scopes) };
  return calls.tokenCall({
    secrets: [],
    request: ({ server, authentication, http }) =>
      oauth.clientCredentialsGrantRequest(server, calls.client, authentication, form, http),
    read: async (server, response) => {
      const answer = await oauth.processClientCredentialsResponse(server, calls.client, response);
      return renewedFrom(calls, answer, { renewal, scopesOtherwise: scopes, sentAtMs });
    },
  });
}

/** With an assertion, whoever made it. */
interface ByAssertion {
  readonly renewal: RenewalBy<'jwt_bearer' | 'identity_assertion'>;
  readonly assertion: Secret;
  readonly scopes: readonly string[];
  readonly scopesInAssertion: boolean;
  readonly parameters: Readonly<Record<string, string>>;
}

/** An assertion stands for the client where that has nothing else to show: it is not named beside it. */
async function byAssertion(calls: ProviderCalls, asked: ByAssertion): Promise<Refreshed | Refusal> {
  const sentAtMs = calls.nowMs();
  const { renewal, assertion, scopes, scopesInAssertion, parameters } = asked;
  const beside = scopesInAssertion ? {} : calls.scopeParameter(scopes);
  const form = { ...parameters, ...calls.resourceParameter, ...beside };
  return calls.tokenCall({
    secrets: [assertion],
    request: ({ server, authentication, http }) => {
      const client = calls.hasOwnCredential ? authentication : () => undefined;
      const asserted = { ...form, assertion: assertion.reveal() };
      return oauth.genericTokenEndpointRequest(server, calls.client, client, jwtBearer, asserted, http);
    },
    read: async (server, response) => {
      const answer = await oauth.processGenericTokenEndpointResponse(server, calls.client, response);
      const renewed = renewedFrom(calls, answer, { renewal, scopesOtherwise: scopes, sentAtMs });
      if (renewal.grant === 'identity_assertion') requireNoWider(renewed.tokenSet.grantedScopes, renewal.scopes);
      return renewed;
    },
  });
}

async function byInstallation(
  calls: ProviderCalls,
  { renewal, shown }: { readonly renewal: RenewalBy<'installation'>; readonly shown: ShownAssertion },
): Promise<Refreshed | Refusal> {
  try {
    const { token_endpoint: endpoint = '' } = await calls.server();
    return await askForInstallationToken({
      endpoint,
      renewal,
      assertion: shown.assertion,
      fetch: calls.fetch(),
      nowMs: calls.nowMs(),
    });
  } catch (error) {
    return failureOf(callErrorFrom(error));
  }
}

async function byExchange(
  calls: ProviderCalls,
  { renewal, shown }: { readonly renewal: RenewalBy<'token_exchange'>; readonly shown: ShownTokens },
): Promise<Refreshed | Refusal> {
  const sentAtMs = calls.nowMs();
  const scopesMax = exchangedScopesMax(renewal, shown);
  const form = tokenExchangeForm(renewal, shown, calls.provider);
  const outcome = await calls.tokenCall<Refreshed>({
    secrets: [shown.subject.accessToken, ...(shown.actor === null ? [] : [shown.actor.accessToken])],
    request: ({ server, authentication, http }) =>
      oauth.genericTokenEndpointRequest(server, calls.client, authentication, tokenExchangeGrantType, form, http),
    read: async (server, response) => {
      const answer = await oauth.processGenericTokenEndpointResponse(server, calls.client, response);
      const renewed = renewedFrom(calls, answer, { renewal, scopesOtherwise: scopesMax, sentAtMs });
      requireExchanged(answer, { granted: renewed.tokenSet.grantedScopes, scopesMax });
      return renewed;
    },
  });
  return exchangeOutcome(outcome);
}

/** A refresh token is not kept: nothing is to be spent. */
function renewedFrom(
  { provider, isBound: bound }: ProviderCalls,
  answer: oauth.TokenEndpointResponse,
  asked: { readonly renewal: Renewal; readonly scopesOtherwise: readonly string[]; readonly sentAtMs: number },
): Refreshed {
  const { renewal, ...context } = asked;
  const tokenSet = tokenSetFrom({ answer, provider, refreshTokenOtherwise: null, bound, ...context });
  return { kind: 'refreshed', tokenSet: { ...tokenSet, refreshToken: null, renewal }, rotated: false };
}
