import { limits, PosternError, type Renewal, type StaticSecret } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  requireGrantType,
  resolveProvider,
  type NamedAccount,
  type Provider,
  type ProviderEndpoints,
  type ResolvedProvider,
} from '@postern/provider-catalog';

import type { AddressGuard } from './address-guard.ts';
import { assertIdentity, requireIdentityAssertions, type IdentityPart } from './assert-identity.ts';
import { askForDevice, authorizeDevice, type DeviceQuestion } from './ask-device.ts';
import type { AuthorizationRequest } from './authorization-url.ts';
import { browserUrl, exchangeCode, type CodeExchange, type RequestSigner } from './authorize.ts';
import { readCallback, type Callback } from './callback.ts';
import type { ClientCredentialSource, TokenEndpointAuthMethod } from './client-authentication.ts';
import { DiscoveryCache } from './discovery-cache.ts';
import { DpopNonces, type DpopProver } from './dpop.ts';
import { accountKeysOf, type GivenTokens } from './exchanged.ts';
import { requireFeatures, type AskedFeatures } from './features.ts';
import type { Asserted, IdentityRenewal, WantedAssertion } from './identity-assertion.ts';
import { introspect, probe } from './inspect.ts';
import type { ShownAssertion } from './installation-token.ts';
import { codedDiscovery } from './metadata.ts';
import type {
  DeviceAuthorized,
  Exchanged,
  IntrospectOutcome,
  ProbeOutcome,
  Refreshed,
  Refusal,
  RevokeOutcome,
  Undecided,
} from './outcomes.ts';
import { discoverResource } from './protected-resource.ts';
import { ProviderCalls } from './provider-calls.ts';
import { refresh, renew, type Refreshing } from './renew.ts';
import { endAuthorization, revokeToken, type NamedToken } from './revoke.ts';
import { adopted, staticTokenSet } from './static-credential.ts';
import { ProviderStrategies } from './strategies.ts';
import type { ShownTokens } from './token-exchange.ts';

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

/**
 * One client registration at one provider: every OAuth call that Postern makes, over `oauth4webapi`.
 *
 * Expected outcomes are values, so that a caller cannot forget one; nothing thrown or returned beside a token set
 * holds a token, a code or a client secret.
 */
export class ProviderClient {
  readonly #provider: Provider;
  readonly #resolved: ResolvedProvider;
  readonly #registration: ClientRegistration;
  readonly #allowLoopback: boolean;
  readonly #signRequest: RequestSigner | undefined;
  readonly #calls: ProviderCalls;

  /** @throws {PosternError} `request.malformed`, `registration.insecure_endpoint` on unfit parameters. */
  constructor({ provider, registration, credentials, allowLoopback, ...rest }: ProviderClientOptions) {
    this.#provider = provider;
    this.#resolved = resolveProvider(provider, registration.parameters);
    this.#registration = registration;
    this.#allowLoopback = allowLoopback;
    this.#signRequest = rest.signRequest;
    const resource = this.#resolved.resource ?? registration.resource ?? null;
    if (registration.resource !== undefined && registration.resource !== resource) {
      throw new PosternError('request.malformed', 'What tokens of this provider are for, its file says.');
    }
    this.#calls = new ProviderCalls({
      provider,
      resolved: this.#resolved,
      client: { client_id: registration.clientId },
      method: registration.tokenEndpointAuthMethod,
      credentials,
      bindsToCertificate: registration.tlsClientCertificateBoundAccessTokens === true,
      resource,
      strategies: new ProviderStrategies(provider),
      allowLoopback,
      timeoutMs: rest.timeoutMs ?? limits.providerTimeoutMs,
      addresses: this.#resolved.kind === 'discover' ? rest.addresses : undefined,
      cache: rest.discoveryCache ?? new DiscoveryCache(),
      prove: rest.prove,
      nonces: rest.dpopNonces ?? new DpopNonces(),
      nowMs: rest.nowMs ?? Date.now,
    });
  }

  /**
   * Learns where the endpoints are; later calls are answered from the cache.
   *
   * @throws {PosternError} `provider.unreachable`, `provider.answer_invalid`, `registration.insecure_endpoint`
   * @source RFC 8414 §3, OpenID Connect Discovery 1.0 §4
   */
  async discover(): Promise<{ issuer: string; endpoints: ProviderEndpoints }> {
    const server = await codedDiscovery(() => this.#calls.server());
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
   * Does the provider have what the registration asks for, and the types of authorization details of this session? To be asked before somebody is sent there.
   *
   * @throws {PosternError} `provider.feature_unsupported`; as {@link discover}
   */
  async requireFeatures(asked: { readonly detailTypes?: readonly string[] | undefined } = {}): Promise<void> {
    const server = await codedDiscovery(() => this.#calls.server());
    requireFeatures({ provider: this.#provider, registration: this.#registration, server, ...asked });
  }

  /**
   * Where the browser goes to authorize. PKCE S256 is part of it, but where the file has evidence against it. Where the
   * server takes pushed requests, it has been told all of it before, by ourselves and authenticated, and the URL says no
   * more than which request is meant.
   *
   * @effect where it is pushed, the server keeps it for about a minute.
   * @throws {PosternError} as {@link discover}; `provider.client_rejected` when a pushed request is refused.
   * @source RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 9126 §2.1, §4
   */
  async authorizationUrl(request: AuthorizationRequest): Promise<URL> {
    if (this.#registration.requireSignedRequestObject !== true) {
      return await browserUrl(this.#calls, { request, sign: undefined });
    }
    const sign = this.#signRequest;
    if (sign === undefined) {
      throw new PosternError('provider.client_rejected', 'Nobody signs the authorization request.');
    }
    return await browserUrl(this.#calls, { request, sign });
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
    const fetch = this.#calls.fetch();
    const { authorizationServers } = await codedDiscovery(() => discoverResource({ url: resource, fetch }));
    if (authorizationServers.includes(issuer)) return;
    throw new PosternError('registration.issuer_changed', 'The server names another authorization server now.');
  }

  /** Reads the answer that a browser brought to the redirect URI. @throws {PosternError} as {@link discover} too. */
  async readCallback(input: { parameters: URLSearchParams; expectedState: string }): Promise<Callback> {
    const server = await codedDiscovery(() => this.#calls.server());
    return readCallback({ ...input, server, client: this.#calls.client });
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
    return await exchangeCode(this.#calls, exchange);
  }

  /**
   * Asks for a device code and what the end user is shown.
   *
   * @throws {PosternError} `provider.flow_unsupported` by the provider's file, `provider.feature_unsupported` by its
   *   metadata; as {@link discover}
   * @source RFC 8628 §3.1
   */
  async authorizeDevice({ scopes }: { readonly scopes: readonly string[] }): Promise<DeviceAuthorized | Refusal> {
    return await authorizeDevice(this.#calls, { scopes, allowLoopback: this.#allowLoopback });
  }

  /**
   * Asks whether the end user has authorized: the tokens, or how things stand.
   *
   * An ID token is checked where there is one; no nonce can be in it, since none was sent.
   *
   * @source RFC 8628 §3.4, §3.5
   */
  async askForDevice(question: DeviceQuestion): Promise<Exchanged | Undecided | Refusal> {
    return await askForDevice(this.#calls, question);
  }

  /** Whose account tokens are that somebody else was given, as far as can be told without spending any. */
  async accountKeysOf(tokens: GivenTokens): Promise<NamedAccount[]> {
    return await accountKeysOf(this.#calls, tokens);
  }

  /**
   * Spends a refresh token. Without a new one in the answer the old one stays.
   *
   * @source RFC 6749 §6
   */
  async refresh(refreshing: Refreshing): Promise<Refreshed | Refusal> {
    return await refresh(this.#calls, refreshing);
  }

  /**
   * Can tokens be had so, as far as is known here? To be asked before anything is written down.
   *
   * @throws {PosternError} `provider.flow_unsupported` where the provider's file does not say that it gives tokens so, and
   *   for a client without a credential of its own.
   * @source RFC 6749 §4.4
   */
  requireRenewal(renewal: Renewal): void {
    const { grant } = renewal;
    requireGrantType(this.#provider, grant);
    if (grant === 'identity_assertion') this.resourceOf(renewal);
    // An assertion is a credential of its own.
    if (this.#calls.hasOwnCredential || grant === 'jwt_bearer' || grant === 'installation') return;
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
  async renew(renewal: Renewal, shown?: ShownTokens | ShownAssertion | Asserted): Promise<Refreshed | Refusal> {
    this.requireRenewal(renewal);
    return await renew(this.#calls, { renewal, shown });
  }

  /** Our client at this provider. */
  get clientId(): string {
    return this.#registration.clientId;
  }

  /**
   * What a token is for that is had by an identity.
   *
   * @throws {PosternError} `request.malformed` where the registration's tokens are for something else
   * @source RFC 8707 §2
   */
  resourceOf({ resource }: IdentityRenewal): readonly string[] {
    const { resource: own } = this.#calls.resourceParameter;
    if (own === undefined) return resource;
    if (resource.every((one) => one === own)) return [own];
    throw new PosternError('request.malformed', `Tokens of this registration are for ${own}: name no other resource.`);
  }

  /**
   * Refuses a server whose metadata says that it does not do its part in asserting an identity.
   *
   * @throws {PosternError} `provider.feature_unsupported`, `provider.flow_unsupported`; as {@link discover}
   * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §7
   */
  async requireIdentityAssertions(part: IdentityPart): Promise<void> {
    await requireIdentityAssertions(this.#calls, part);
  }

  /**
   * Has this provider assert the identity of a user of its own to another authorization server.
   *
   * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3
   */
  async assertIdentity(wanted: WantedAssertion): Promise<Asserted | Refusal> {
    return await assertIdentity(this.#calls, wanted);
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
    if (this.#provider.api.tokenProbe === null) return adopted(tokenSet, null);
    return adopted(tokenSet, await this.probe(Secret.from(tokenSet.accessToken)));
  }

  /**
   * Tells the provider that a token is over. May be repeated: an unknown token is a success there.
   *
   * @source RFC 7009 §2
   */
  async revoke(named: NamedToken): Promise<RevokeOutcome> {
    return await revokeToken(this.#calls, named);
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
    return await endAuthorization(this.#calls, { call: this.#resolved.revocationCall, accessToken });
  }

  /**
   * Asks the provider whether a token is alive.
   *
   * @source RFC 7662 §2
   */
  async introspect(named: NamedToken): Promise<IntrospectOutcome> {
    return await introspect(this.#calls, named);
  }

  /**
   * Asks the provider's API whether an access token lives, by the call that its file names.
   *
   * @returns `probe_unsupported` where none is known.
   */
  async probe(accessToken: Secret): Promise<ProbeOutcome> {
    return await probe(this.#calls, { accessToken, probeUrl: this.#resolved.probeUrl });
  }
}
