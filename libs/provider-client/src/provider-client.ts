import { limits, PosternError, type Renewal, type StaticSecret } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  requireGrantType,
  resolveProvider,
  saysGone,
  type Provider,
  type ProviderEndpoints,
  type ResolvedProvider,
} from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import type { AddressGuard } from './address-guard.ts';
import { accountKeysFrom } from './account-keys.ts';
import { probeAccount } from './account-probe.ts';
import { authorizationParameters, authorizationUrl, isPushed, type AuthorizationRequest } from './authorization-url.ts';
import { readCallback, type Callback } from './callback.ts';
import {
  clientAuthentication,
  secretOf,
  type ClientCredential,
  type ClientCredentialSource,
  type TokenEndpointAuthMethod,
} from './client-authentication.ts';
import { DiscoveryCache } from './discovery-cache.ts';
import { DpopNonces, withDpop, type DpopProver } from './dpop.ts';
import { requireFeatures, type AskedFeatures } from './features.ts';
import { guardedFetch, type GuardedFetch } from './guarded-fetch.ts';
import { askForInstallationToken, type ShownAssertion } from './installation-token.ts';
import { codedDiscovery, callErrorFrom, fetchMetadata, metadataOf, type GuardedHttp } from './metadata.ts';
import { deviceCodeFrom, withoutTokens } from './device.ts';
import type {
  DeviceAuthorized,
  Exchanged,
  IntrospectOutcome,
  ProbeOutcome,
  Refreshed,
  Refusal,
  Rejected,
  RevokeOutcome,
  Undecided,
} from './outcomes.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { failureOf, mayPass, refusalOf, withoutVerdict } from './refusal.ts';
import { discoverResource } from './protected-resource.ts';
import { ProviderStrategies } from './strategies.ts';
import { staticTokenSet } from './static-credential.ts';
import {
  exchangedScopesMax,
  exchangeOutcome,
  requireExchanged,
  tokenExchangeForm,
  tokenExchangeGrantType,
  type ShownTokens,
} from './token-exchange.ts';
import { probeToken } from './token-probe.ts';
import { callRevocation } from './revocation-call.ts';
import { callsItselfJson, standardAnswer, tokenSetFrom, tokensIn, withoutNullMembers } from './token-answer.ts';

/** Our client at a provider, as ADMIN has it. */
export interface ClientRegistration extends AskedFeatures {
  readonly clientId: string;
  readonly tokenEndpointAuthMethod: TokenEndpointAuthMethod;
  readonly parameters: Readonly<Record<string, string>>;
  /** What its tokens are for, where the provider's file does not say. @source RFC 8707 §2 */
  readonly resource?: string | undefined;
}

export interface ProviderClientOptions {
  readonly provider: Provider;
  readonly registration: ClientRegistration;
  /** Null for a public client, and where only a browser is sent to the provider. */
  readonly credentials: ClientCredentialSource | null;
  /** Off in production: a provider on this machine would be one of our own services. */
  readonly allowLoopback: boolean;
  /** Shared by the clients of a process; one of its own when absent. */
  readonly discoveryCache?: DiscoveryCache;
  /** With the key of the connection that the client is for: then no token is taken that is not bound to it. */
  readonly prove?: DpopProver | undefined;
  /** Signs authorization requests, where the registration's are signed. */
  readonly signRequest?: RequestSigner | undefined;
  /** What servers wanted in proofs; shared by the clients of a process. */
  readonly dpopNonces?: DpopNonces;
  /** For each call; an operation makes at most two, the discovery and its own. */
  readonly timeoutMs?: number;
  /** Where a provider may be whose endpoints its own metadata names; anywhere when absent. */
  readonly addresses?: AddressGuard | undefined;
  readonly nowMs?: () => number;
}

/** Signs an authorization request; the key is elsewhere. @returns the request object @source RFC 9101 §4 */
export type RequestSigner = (parameters: Readonly<Record<string, string>>) => Promise<string>;

type TokenHint = 'access_token' | 'refresh_token';

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
 * One client registration at one provider: every OAuth call that Postern makes, over `oauth4webapi`.
 *
 * Expected outcomes are values, so that a caller cannot forget one; nothing thrown or returned beside a token set
 * holds a token, a code or a client secret.
 */
export class ProviderClient {
  readonly #provider: Provider;
  readonly #resolved: ResolvedProvider;
  readonly #features: AskedFeatures;
  readonly #resource: string | null;
  readonly #signRequest: RequestSigner | undefined;
  readonly #client: oauth.Client;
  readonly #method: TokenEndpointAuthMethod;
  readonly #credentials: ClientCredentialSource | null;
  readonly #strategies: ProviderStrategies;
  readonly #allowLoopback: boolean;
  readonly #timeoutMs: number;
  readonly #addresses: AddressGuard | undefined;
  readonly #cache: DiscoveryCache;
  readonly #prove: DpopProver | undefined;
  readonly #nonces: DpopNonces;
  readonly #nowMs: () => number;

  /** @throws {PosternError} `request.malformed`, `registration.insecure_endpoint` on unfit parameters. */
  constructor({ provider, registration, credentials, allowLoopback, ...rest }: ProviderClientOptions) {
    this.#provider = provider;
    this.#resolved = resolveProvider(provider, registration.parameters);
    this.#features = registration;
    this.#signRequest = rest.signRequest;
    this.#resource = this.#resolved.resource ?? registration.resource ?? null;
    if (registration.resource !== undefined && registration.resource !== this.#resource) {
      throw new PosternError('request.malformed', 'What tokens of this provider are for, its file says.');
    }
    this.#client = { client_id: registration.clientId };
    this.#method = registration.tokenEndpointAuthMethod;
    this.#credentials = credentials;
    this.#strategies = new ProviderStrategies(provider);
    this.#allowLoopback = allowLoopback;
    this.#timeoutMs = rest.timeoutMs ?? limits.providerTimeoutMs;
    this.#addresses = this.#resolved.kind === 'discover' ? rest.addresses : undefined;
    this.#cache = rest.discoveryCache ?? new DiscoveryCache();
    this.#prove = rest.prove;
    this.#nonces = rest.dpopNonces ?? new DpopNonces();
    this.#nowMs = rest.nowMs ?? Date.now;
  }

  /**
   * Learns where the endpoints are; later calls are answered from the cache.
   *
   * @throws {PosternError} `provider.unreachable`, `provider.answer_invalid`, `registration.insecure_endpoint`
   * @source RFC 8414 §3, OpenID Connect Discovery 1.0 §4
   */
  async discover(): Promise<{ issuer: string; endpoints: ProviderEndpoints }> {
    const server = await codedDiscovery(() => this.#server());
    return {
      issuer: server.issuer,
      endpoints: {
        authorizationEndpoint: server.authorization_endpoint ?? null,
        tokenEndpoint: server.token_endpoint ?? '',
        revocationEndpoint: server.revocation_endpoint ?? null,
        introspectionEndpoint: server.introspection_endpoint ?? null,
      },
    };
  }

  /**
   * Does the provider have what the registration asks for? To be asked before somebody is sent there.
   *
   * @throws {PosternError} `provider.feature_unsupported`; as {@link discover}
   */
  async requireFeatures(): Promise<void> {
    const server = await codedDiscovery(() => this.#server());
    requireFeatures({ provider: this.#provider, registration: this.#features, server });
  }

  /**
   * Where the browser goes to authorize. PKCE S256 is part of it, but where the file has evidence
   * against it. Where the server takes pushed requests, it has
   * been told all of it before, by ourselves and authenticated, and the URL says no more than which request is meant.
   *
   * @effect where it is pushed, the server keeps it for about a minute.
   * @throws {PosternError} as {@link discover}; `provider.client_rejected` when a pushed request is refused.
   * @source RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 9126 §2.1, §4
   */
  async authorizationUrl(request: AuthorizationRequest): Promise<URL> {
    const { server, pushed } = await codedDiscovery(async () => {
      const found = await this.#server();
      return { server: found, pushed: isPushed(found, this.#provider) };
    });
    const { client_id: clientId } = this.#client;
    const endpoint = server.authorization_endpoint ?? '';
    const resource = this.#resource;
    const asked = resource === null ? request : { ...request, resource };
    const parameters = await this.#signed(
      authorizationParameters({ provider: this.#provider, clientId, request: asked }),
    );
    if (!pushed) return authorizationUrl(endpoint, parameters);
    return authorizationUrl(endpoint, { client_id: clientId, request_uri: await this.#push(parameters) });
  }

  /**
   * All of the request in one signed object, where that is asked for: nobody on its way changes it.
   *
   * @source RFC 9101 §5
   */
  async #signed(parameters: Record<string, string>): Promise<Record<string, string>> {
    if (this.#features.requireSignedRequestObject !== true) return parameters;
    if (this.#signRequest === undefined) {
      throw new PosternError('provider.client_rejected', 'Nobody signs the authorization request.');
    }
    return { client_id: this.#client.client_id, request: await this.#signRequest(parameters) };
  }

  async #push(parameters: Record<string, string>): Promise<string> {
    const outcome = await this.#call({
      secrets: [],
      successStatus: 201,
      request: ({ server, authentication, http }) =>
        oauth.pushedAuthorizationRequest(server, this.#client, authentication, parameters, http),
      read: async (server, response) => {
        const { request_uri: requestUri } = await oauth.processPushedAuthorizationResponse(
          server,
          this.#client,
          response,
        );
        return { kind: 'pushed' as const, requestUri };
      },
    });
    if (outcome.kind === 'pushed') return outcome.requestUri;
    const why = `The provider did not take the authorization request: ${outcome.error}.`;
    throw new PosternError(mayPass(outcome) ? 'provider.unreachable' : 'provider.client_rejected', why);
  }

  /**
   * Does the resource of this registration still name the issuer that the registration is bound to? Asked before a browser
   * is sent away: what one authorization server issued is never shown to another.
   *
   * @throws {PosternError} `registration.issuer_changed`; as {@link discover} where the resource says nothing.
   * @source MCP 2026-07-28, client registration, authorization server binding
   */
  async assertIssuerNamed(): Promise<void> {
    const { resource, issuer } = this.#resolved;
    if (resource === null || !this.#provider.namesResource) return;
    const fetch = this.#fetch(this.#timeoutMs);
    const { authorizationServers } = await codedDiscovery(() => discoverResource({ url: resource, fetch }));
    if (authorizationServers.includes(issuer)) return;
    throw new PosternError('registration.issuer_changed', 'The server names another authorization server now.');
  }

  /** Reads the answer that a browser brought to the redirect URI. @throws {PosternError} as {@link discover} too. */
  async readCallback(input: { parameters: URLSearchParams; expectedState: string }): Promise<Callback> {
    const server = await codedDiscovery(() => this.#server());
    return readCallback({ ...input, server, client: this.#client });
  }

  /**
   * Spends an authorization code, once.
   *
   * With a nonce an ID token is required and checked: issuer, audience, times, nonce; its signature is not, since it
   * came from the token endpoint itself over TLS.
   *
   * @source RFC 6749 §4.1.3, RFC 7636 §4.5, OpenID Connect Core 1.0 §3.1.3.7
   */
  async exchangeCode(exchange: CodeExchange): Promise<Exchanged | Refusal> {
    const { callback, redirectUri, codeVerifier, nonce, requestedScopes } = exchange;
    const sentAtMs = this.#nowMs();
    const outcome = await this.#tokenCall({
      secrets: [codeVerifier],
      request: ({ server, authentication, http }) =>
        oauth.authorizationCodeGrantRequest(
          server,
          this.#client,
          authentication,
          callback.parameters,
          redirectUri,
          this.#provider.withoutPkce ? oauth.nopkce : codeVerifier.reveal(),
          { ...http, ...this.#forResource },
        ),
      read: async (server, response) => {
        const options = nonce === null ? {} : { expectedNonce: nonce, requireIdToken: true };
        const answer = await oauth.processAuthorizationCodeResponse(server, this.#client, response, options);
        return this.#exchanged(answer, { sentAtMs, requestedScopes });
      },
    });
    return outcome.kind === 'exchanged' ? await this.#withProbedAccount(outcome) : outcome;
  }

  /**
   * Asks for a device code and what the end user is shown.
   *
   * @throws {PosternError} `provider.flow_unsupported` by the provider's file, `provider.feature_unsupported` by its
   *   metadata; as {@link discover}
   * @source RFC 8628 §3.1
   */
  async authorizeDevice({ scopes }: { readonly scopes: readonly string[] }): Promise<DeviceAuthorized | Refusal> {
    requireGrantType(this.#provider, 'device_code');
    const { device_authorization_endpoint: endpoint } = await codedDiscovery(() => this.#server());
    if (endpoint === undefined) {
      throw new PosternError('provider.feature_unsupported', `${this.#provider.name} gives no user codes.`);
    }
    const sentAtMs = this.#nowMs();
    const scope = scopes.length === 0 ? {} : { scope: scopes.join(this.#provider.scopeSeparator) };
    const parameters = { ...scope, ...this.#resourceParameter };
    return this.#call({
      secrets: [],
      request: ({ server, authentication, http }) =>
        oauth.deviceAuthorizationRequest(server, this.#client, authentication, parameters, http),
      read: async (server, response) => {
        const answer = await oauth.processDeviceAuthorizationResponse(server, this.#client, response);
        return deviceCodeFrom(answer, { sentAtMs, allowLoopback: this.#allowLoopback });
      },
    });
  }

  /**
   * Asks whether the end user has authorized: the tokens, or how things stand.
   *
   * An ID token is checked where there is one; no nonce can be in it, since none was sent.
   *
   * @source RFC 8628 §3.4, §3.5
   */
  async askForDevice(input: {
    readonly deviceCode: Secret;
    /** They count as granted when the answer names none. */
    readonly requestedScopes: readonly string[];
  }): Promise<Exchanged | Undecided | Refusal> {
    const { deviceCode, requestedScopes } = input;
    const sentAtMs = this.#nowMs();
    const outcome = await this.#tokenCall<Exchanged | Undecided | Rejected>({
      secrets: [deviceCode],
      request: ({ server, authentication, http }) =>
        oauth.deviceCodeGrantRequest(server, this.#client, authentication, deviceCode.reveal(), {
          ...http,
          ...this.#forResource,
        }),
      read: async (server, response) => {
        const answer = await oauth.processDeviceCodeResponse(server, this.#client, response);
        return this.#exchanged(answer, { sentAtMs, requestedScopes });
      },
      readRefusal: async (response) => withoutTokens(await response.json().catch(() => undefined), response.status),
    });
    return outcome.kind === 'exchanged' ? await this.#withProbedAccount(outcome) : outcome;
  }

  #exchanged(
    answer: oauth.TokenEndpointResponse,
    { sentAtMs, requestedScopes }: { readonly sentAtMs: number; readonly requestedScopes: readonly string[] },
  ): Exchanged {
    const context = { provider: this.#provider, scopesOtherwise: requestedScopes, refreshTokenOtherwise: null };
    return {
      kind: 'exchanged',
      tokenSet: tokenSetFrom({ answer, ...context, sentAtMs, bound: this.#prove !== undefined }),
      account: accountFrom(answer),
      accountKeys: accountKeysFrom(answer, this.#provider),
    };
  }

  /** Where the token endpoint does not say whose the token is, the provider's API may. */
  async #withProbedAccount(exchanged: Exchanged): Promise<Exchanged> {
    const { accountProbe } = this.#provider;
    if (accountProbe === null) return exchanged;
    const accessToken = Secret.from(exchanged.tokenSet.accessToken);
    const probed = await probeAccount(accountProbe, { accessToken, fetch: this.#fetchWith(accessToken) });
    return { ...exchanged, accountKeys: [...exchanged.accountKeys, ...probed] };
  }

  /**
   * Spends a refresh token. Without a new one in the answer the old one stays.
   *
   * @source RFC 6749 §6
   */
  async refresh(input: { refreshToken: Secret; grantedScopes: readonly string[] }): Promise<Refreshed | Refusal> {
    const { refreshToken, grantedScopes } = input;
    const sentAtMs = this.#nowMs();
    return this.#tokenCall({
      secrets: [refreshToken],
      request: ({ server, authentication, http }) =>
        oauth.refreshTokenGrantRequest(server, this.#client, authentication, refreshToken.reveal(), {
          ...http,
          ...this.#forResource,
        }),
      read: async (server, response) => {
        const answer = await oauth.processRefreshTokenResponse(server, this.#client, response);
        const tokenSet = tokenSetFrom({
          answer,
          provider: this.#provider,
          scopesOtherwise: grantedScopes,
          refreshTokenOtherwise: refreshToken.reveal(),
          bound: this.#prove !== undefined,
          sentAtMs,
        });
        return { kind: 'refreshed' as const, tokenSet, rotated: tokenSet.refreshToken !== refreshToken.reveal() };
      },
    });
  }

  /**
   * Can tokens be had so, as far as is known here? To be asked before anything is written down.
   *
   * @throws {PosternError} `provider.flow_unsupported` where the provider's file does not say that it gives tokens so, and
   *   for a client without a credential of its own.
   * @source RFC 6749 §4.4
   */
  requireRenewal({ grant }: Renewal): void {
    requireGrantType(this.#provider, grant);
    // An assertion is a credential of its own.
    if (this.#method !== 'none' || grant === 'jwt_bearer' || grant === 'installation') return;
    throw new PosternError('provider.flow_unsupported', 'The client registration has no credential to ask with.');
  }

  /**
   * Asks for an access token with what we hold ourselves, the first one as every later one; no user is asked and nothing
   * is spent, so that an answer which is lost may be asked for again. A refresh token is not kept.
   *
   * @param shown what the vault gave for this one call, where the grant takes more than the client's own credentials: the
   *   tokens of an exchange, or what it signed
   * @throws {PosternError} as {@link requireRenewal}.
   * @source RFC 6749 §4.4.2, §4.4.3, RFC 7523 §2.1, §3.1, RFC 8693 §2.1
   */
  async renew(renewal: Renewal, shown?: ShownTokens | ShownAssertion): Promise<Refreshed | Refusal> {
    this.requireRenewal(renewal);
    if (renewal.grant === 'client_credentials') return await this.#renewByOwnCredentials(renewal);
    if (renewal.grant === 'token_exchange') {
      if (shown === undefined || !('subject' in shown)) throw new Error('there is nothing to exchange');
      return await this.#exchange(renewal, shown);
    }
    if (shown === undefined || !('assertion' in shown)) throw new Error('nothing was signed');
    return renewal.grant === 'installation'
      ? await this.#ofInstallation(renewal, shown)
      : await this.#assert(renewal, shown);
  }

  async #ofInstallation(
    renewal: RenewalBy<'installation'>,
    { assertion }: ShownAssertion,
  ): Promise<Refreshed | Refusal> {
    try {
      const { token_endpoint: endpoint = '' } = await this.#server();
      const call = { endpoint, renewal, assertion, fetch: this.#fetch(this.#timeoutMs), nowMs: this.#nowMs() };
      return await askForInstallationToken(call);
    } catch (error) {
      return failureOf(callErrorFrom(error));
    }
  }

  /** An assertion stands for the client where that has nothing else to show: it is not named beside it. */
  async #assert(renewal: RenewalBy<'jwt_bearer'>, { assertion }: ShownAssertion): Promise<Refreshed | Refusal> {
    const sentAtMs = this.#nowMs();
    const { scopes, scopesInAssertion } = renewal;
    const beside =
      scopes.length === 0 || scopesInAssertion ? {} : { scope: scopes.join(this.#provider.scopeSeparator) };
    const form = { ...renewal.parameters, ...this.#forResource.additionalParameters, ...beside };
    return this.#tokenCall({
      secrets: [assertion],
      request: ({ server, authentication, http }) => {
        const client = this.#method === 'none' ? () => undefined : authentication;
        const asserted = { ...form, assertion: assertion.reveal() };
        return oauth.genericTokenEndpointRequest(server, this.#client, client, jwtBearer, asserted, http);
      },
      read: async (server, response) => {
        const answer = await oauth.processGenericTokenEndpointResponse(server, this.#client, response);
        return this.#renewed(answer, { renewal, scopesOtherwise: scopes, sentAtMs });
      },
    });
  }

  async #renewByOwnCredentials(renewal: RenewalBy<'client_credentials'>): Promise<Refreshed | Refusal> {
    const sentAtMs = this.#nowMs();
    const { scopes } = renewal;
    const scope = scopes.length === 0 ? {} : { scope: scopes.join(this.#provider.scopeSeparator) };
    return this.#tokenCall({
      secrets: [],
      request: ({ server, authentication, http }) =>
        oauth.clientCredentialsGrantRequest(
          server,
          this.#client,
          authentication,
          { ...renewal.parameters, ...this.#resourceParameter, ...scope },
          http,
        ),
      read: async (server, response) => {
        const answer = await oauth.processClientCredentialsResponse(server, this.#client, response);
        return this.#renewed(answer, { renewal, scopesOtherwise: scopes, sentAtMs });
      },
    });
  }

  async #exchange(renewal: RenewalBy<'token_exchange'>, shown: ShownTokens): Promise<Refreshed | Refusal> {
    const sentAtMs = this.#nowMs();
    const scopesMax = exchangedScopesMax(renewal, shown);
    const form = tokenExchangeForm(renewal, shown, this.#provider);
    const outcome = await this.#tokenCall<Refreshed>({
      secrets: [shown.subject.accessToken, ...(shown.actor === null ? [] : [shown.actor.accessToken])],
      request: ({ server, authentication, http }) =>
        oauth.genericTokenEndpointRequest(server, this.#client, authentication, tokenExchangeGrantType, form, http),
      read: async (server, response) => {
        const answer = await oauth.processGenericTokenEndpointResponse(server, this.#client, response);
        const renewed = this.#renewed(answer, { renewal, scopesOtherwise: scopesMax, sentAtMs });
        requireExchanged(answer, { granted: renewed.tokenSet.grantedScopes, scopesMax });
        return renewed;
      },
    });
    return exchangeOutcome(outcome);
  }

  #renewed(
    answer: oauth.TokenEndpointResponse,
    asked: { readonly renewal: Renewal; readonly scopesOtherwise: readonly string[]; readonly sentAtMs: number },
  ): Refreshed {
    const { renewal, ...context } = asked;
    const bound = this.#prove !== undefined;
    const tokenSet = tokenSetFrom({ answer, provider: this.#provider, refreshTokenOtherwise: null, bound, ...context });
    return { kind: 'refreshed', tokenSet: { ...tokenSet, refreshToken: null, renewal }, rotated: false };
  }

  /**
   * Is a secret that somebody made by hand of the form that this provider wants? To be asked before anything is written down.
   *
   * @throws {PosternError} `provider.flow_unsupported`, `request.malformed`
   */
  requireStatic(secret: StaticSecret): void {
    staticTokenSet(this.#provider, secret);
  }

  /**
   * Takes a secret that somebody made by hand, after the provider's API has said that it lives; where no call is known that
   * would tell, it is believed.
   *
   * @throws {PosternError} as {@link requireStatic}.
   */
  async adopt(secret: StaticSecret): Promise<Refreshed | Refusal> {
    const tokenSet = staticTokenSet(this.#provider, secret);
    const adopted = { kind: 'refreshed' as const, tokenSet, rotated: false };
    if (this.#provider.api.tokenProbe === null) return adopted;
    const probed = await this.probe(Secret.from(tokenSet.accessToken));
    if (probed.kind === 'alive') return adopted;
    const said = { errorDescription: null, error: probed.error ?? 'credential_refused' };
    if (probed.kind !== 'failed') return { kind: 'rejected', ...said, httpStatus: probed.httpStatus };
    const { httpStatus, retryAfterMs } = probed;
    return { kind: 'failed', ...said, httpStatus, retryAfterMs, mayHaveBeenProcessed: false };
  }

  /**
   * Tells the provider that a token is over. May be repeated: an unknown token is a success there.
   *
   * @source RFC 7009 §2
   */
  async revoke({ token, hint }: { token: Secret; hint: TokenHint }): Promise<RevokeOutcome> {
    const outcome = await this.#call({
      secrets: [token],
      request: ({ server, authentication, http }) => {
        if (server.revocation_endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
        return oauth.revocationRequest(server, this.#client, authentication, token.reveal(), {
          ...http,
          additionalParameters: { token_type_hint: hint },
        });
      },
      read: async (_server, response) => {
        await oauth.processRevocationResponse(response);
        return { kind: 'revoked' as const };
      },
      readRefusal: async (response) => {
        const body: unknown = await response.json().catch(() => undefined);
        const answer = { httpStatus: response.status, body };
        return saysGone(this.#provider.revocation, answer) ? { kind: 'revoked' as const } : undefined;
      },
    });
    return outcome.kind === 'revoked' ? outcome : withoutVerdict(outcome, unsupported);
  }

  /** Does this provider want to be told by an endpoint of its own, {@link endAuthorization}, and not by {@link revoke}? */
  get hasOwnRevocation(): boolean {
    return this.#resolved.revocationCall !== null;
  }

  /**
   * Tells a provider with an endpoint of its own that an authorization is over; its file says what ends with it. May be
   * repeated: what is over already is a success.
   */
  async endAuthorization({ accessToken }: { accessToken: Secret }): Promise<RevokeOutcome> {
    const call = this.#resolved.revocationCall;
    if (call === null) return withoutVerdict(failureOf(new ProviderCallError('metadata_incomplete')), unsupported);
    const attempt: Attempt<{ kind: 'revoked' }> = async ({ credential, timeoutMs }) => {
      const hidden = credential === null ? [] : formsOf(this.#client.client_id, credential);
      try {
        const response = await callRevocation({
          call,
          revocation: this.#provider.revocation,
          clientId: this.#client.client_id,
          credential,
          accessToken,
          fetch: call.authentication === 'access_token' ? this.#fetchWith(accessToken) : this.#fetch(timeoutMs),
        });
        if (response === null) return { kind: 'revoked' };
        const { answers: rows } = this.#provider;
        return await refusalOf({ response, rows, secrets: [accessToken, ...hidden], nowMs: this.#nowMs() });
      } catch (error) {
        return failureOf(callErrorFrom(error));
      }
    };
    const outcome =
      call.authentication === 'access_token'
        ? await attempt({ credential: null, timeoutMs: this.#timeoutMs })
        : await this.#withCredential(attempt);
    return outcome.kind === 'revoked' ? outcome : withoutVerdict(outcome, unsupported);
  }

  /**
   * Asks the provider whether a token is alive.
   *
   * @source RFC 7662 §2
   */
  async introspect({ token, hint }: { token: Secret; hint: TokenHint }): Promise<IntrospectOutcome> {
    const outcome = await this.#call({
      secrets: [token],
      request: ({ server, authentication, http }) => {
        if (server.introspection_endpoint === undefined) throw new ProviderCallError('metadata_incomplete');
        return oauth.introspectionRequest(server, this.#client, authentication, token.reveal(), {
          ...http,
          additionalParameters: { token_type_hint: hint },
        });
      },
      read: async (server, response) => {
        const answer = await oauth.processIntrospectionResponse(
          server,
          this.#client,
          await withoutNullMembers(response),
        );
        if (!answer.active) return { kind: 'inactive' as const };
        return {
          kind: 'active' as const,
          scopes: answer.scope?.split(this.#provider.scopeSeparator).filter((scope) => scope !== '') ?? null,
          expiresAtMs: answer.exp === undefined ? null : answer.exp * 1000,
          subject: answer.sub ?? null,
        };
      },
    });
    if (outcome.kind === 'active' || outcome.kind === 'inactive') return outcome;
    return withoutVerdict(outcome, 'introspection_unsupported');
  }

  /**
   * Asks the provider's API whether an access token lives, by the call that its file names.
   *
   * @returns `probe_unsupported` where none is known.
   */
  async probe(accessToken: Secret): Promise<ProbeOutcome> {
    const { tokenProbe } = this.#provider.api;
    try {
      const url = tokenProbe === null ? undefined : await this.#probeUrl();
      if (tokenProbe === null || url === undefined) throw new ProviderCallError('metadata_incomplete');
      const fetch = this.#fetchWith(accessToken);
      const provider = this.#provider;
      return await probeToken(tokenProbe, { url, provider, accessToken, fetch, nowMs: this.#nowMs() });
    } catch (error) {
      return withoutVerdict(failureOf(callErrorFrom(error)), 'probe_unsupported');
    }
  }

  async #probeUrl(): Promise<string | undefined> {
    return this.#resolved.probeUrl ?? (await this.#server()).userinfo_endpoint;
  }

  /** A token endpoint may say no with any status; what brings no tokens is weighed as a refusal. */
  #tokenCall<T extends Answer>(call: AuthenticatedCall<T>): Promise<T | Refusal> {
    return this.#call({
      ...call,
      isTokenCall: true,
      read: async (server, response) => {
        const { status, headers } = response;
        const lift = (body: object) => this.#strategies.answer(body);
        const text = await response.text();
        const tokens = callsItselfJson(response) ? tokensIn(text, lift) : undefined;
        // A provider may say no with a 200.
        if (tokens === undefined) return await call.readRefusal?.(new Response(text, { status, headers }));
        const standard = JSON.stringify(standardAnswer(tokens, this.#provider));
        return call.read(this.#strategies.server(server, tokens), new Response(standard, { status, headers }));
      },
    });
  }

  /**
   * One call; and, when the provider refuses our credentials and there is another version of them, a second one with
   * that: a rotation here and at the provider never happens at the same instant. Who refuses a client has spent nothing
   * of what it brought. Both calls together take no more time than one may.
   */
  async #call<T extends Answer>(call: AuthenticatedCall<T>): Promise<T | Refusal> {
    return await this.#withCredential((way) => this.#attempt(call, way));
  }

  async #withCredential<T extends Answer>(attempt: Attempt<T>): Promise<T | Refusal> {
    const credential = this.#method === 'none' ? null : ((await this.#credentials?.()) ?? null);
    const startedMs = performance.now();
    const outcome = await attempt({ credential, timeoutMs: this.#timeoutMs });
    if (outcome.kind !== 'client_rejected' || credential === null) return outcome;
    const other = await this.#credentials?.(credential.version);
    const timeoutMs = Math.floor(this.#timeoutMs - (performance.now() - startedMs));
    if (other === undefined || other.version === credential.version || timeoutMs < 1) return outcome;
    return await attempt({ credential: other, timeoutMs });
  }

  async #attempt<T extends Answer>(
    { request, read, readRefusal, secrets, isTokenCall = false, successStatus = 200 }: AuthenticatedCall<T>,
    { credential, timeoutMs }: { credential: ClientCredential | null; timeoutMs: number },
  ): Promise<T | Refusal> {
    const authentication = clientAuthentication(this.#method, credential, this.#strategies.basicAuthentication);
    const hidden = credential === null ? [] : formsOf(this.#client.client_id, credential);
    try {
      const server = await this.#server();
      const response = await request({ server, authentication, http: this.#http(timeoutMs, isTokenCall) });
      const answer =
        response.status === successStatus
          ? await read(server, response.clone())
          : await readRefusal?.(response.clone());
      if (answer !== undefined) return answer;
      const { answers: rows } = this.#provider;
      return await refusalOf({ response, rows, secrets: [...secrets, ...hidden], nowMs: this.#nowMs() });
    } catch (error) {
      return failureOf(callErrorFrom(error));
    }
  }

  /** Sent with every question for tokens, so that none is good for another server. @source RFC 8707 §2.2 */
  get #forResource() {
    return this.#resource === null ? {} : { additionalParameters: this.#resourceParameter };
  }

  get #resourceParameter(): Record<string, string> {
    return this.#resource === null ? {} : { resource: this.#resource };
  }

  #http(timeoutMs: number, isTokenCall = false): GuardedHttp {
    // guardedFetch judges every URL, more strictly than oauth4webapi does without this switch.
    return {
      [oauth.customFetch]: this.#strategies.fetch(isTokenCall ? this.#proving({ timeoutMs }) : this.#fetch(timeoutMs)),
      [oauth.allowInsecureRequests]: true,
    };
  }

  /** How the provider's API is called with an access token. */
  #fetchWith(accessToken: Secret): GuardedFetch {
    return this.#proving({ timeoutMs: this.#timeoutMs, accessToken });
  }

  /** With proofs, where the tokens are bound to a key. */
  #proving(call: { readonly timeoutMs: number; readonly accessToken?: Secret }): GuardedFetch {
    const prove = this.#prove;
    if (prove === undefined) return this.#fetch(call.timeoutMs);
    return withDpop({ ...call, prove, nonces: this.#nonces, fetch: (timeoutMs) => this.#fetch(timeoutMs) });
  }

  #fetch(timeoutMs: number): GuardedFetch {
    return guardedFetch({ allowLoopback: this.#allowLoopback, timeoutMs, addresses: this.#addresses });
  }

  async #server(): Promise<oauth.AuthorizationServer> {
    if (this.#resolved.kind === 'static') throw new ProviderCallError('metadata_incomplete');
    if (this.#resolved.kind === 'known') return metadataOf(this.#resolved, this.#provider);
    const { issuer, metadata } = this.#resolved;
    const input = { issuer, metadata, http: this.#http(this.#timeoutMs), allowLoopback: this.#allowLoopback };
    return this.#cache.get(`${metadata} ${issuer}`, () => fetchMetadata(input));
  }
}

type RenewalBy<G extends Renewal['grant']> = Extract<Renewal, { readonly grant: G }>;

interface Answer {
  readonly kind: string;
}

type Attempt<T extends Answer> = (way: {
  readonly credential: ClientCredential | null;
  readonly timeoutMs: number;
}) => Promise<T | Refusal>;

const unsupported = 'revocation_unsupported';
/** @source RFC 7523 §2.1 */
const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

interface AuthenticatedCall<T extends Answer> {
  /** What was sent and must not come back in the provider's words. */
  readonly secrets: readonly Secret[];
  readonly request: (way: {
    readonly server: oauth.AuthorizationServer;
    readonly authentication: oauth.ClientAuth;
    readonly http: GuardedHttp;
  }) => Promise<Response>;
  /** Nothing when the answer is none: it is weighed as a refusal then. */
  readonly read: (server: oauth.AuthorizationServer, response: Response) => Promise<T | undefined>;
  /** Goes with a proof where tokens are bound. @source RFC 9449 §5 */
  readonly isTokenCall?: boolean;
  /** Of an answer that brings what was asked for; 200 when absent. */
  readonly successStatus?: 200 | 201;
  /** The same, of an answer with another status. */
  readonly readRefusal?: (response: Response) => Promise<T | undefined>;
}

function accountFrom(answer: oauth.TokenEndpointResponse): Exchanged['account'] {
  const claims = oauth.getValidatedIdTokenClaims(answer);
  return claims === undefined ? null : { issuer: claims.iss, subject: claims.sub };
}

/** A credential as it is, and as a header carries it: a server that repeats a request repeats that. @source RFC 6749 §2.3.1 */
function formsOf(clientId: string, credential: ClientCredential): Secret[] {
  const secret = secretOf(credential);
  const own = [clientId, secret.reveal()];
  const pairs = [own, own.map(encodeURIComponent), own.map(formEncoded), [secret.reveal(), '']];
  const headers = pairs.map((pair) => Secret.from(Buffer.from(pair.join(':'), 'utf8').toString('base64')));
  return [secret, ...headers];
}

/** As `oauth4webapi` writes it, which encodes more than it would have to. @source RFC 6749 appendix B */
function formEncoded(text: string): string {
  return new URLSearchParams({ text })
    .toString()
    .slice('text='.length)
    .replaceAll(/[-._*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
