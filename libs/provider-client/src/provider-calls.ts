import type { TokenSet } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import type { Provider, ResolvedProvider } from '@postern/provider-catalog';
import * as oauth from 'oauth4webapi';

import type { AddressGuard } from './address-guard.ts';
import { confirmationIn, isBoundTo, requireInForce, withMtlsAliases } from './certificate-binding.ts';
import {
  authenticatesByCertificate,
  clientAuthentication,
  sentFormsOf,
  type ClientCredential,
  type ClientCredentialSource,
  type TokenEndpointAuthMethod,
} from './client-authentication.ts';
import type { DiscoveryCache } from './discovery-cache.ts';
import { withDpop, type DpopNonces, type DpopProver } from './dpop.ts';
import { guardedFetch, type GuardedFetch } from './guarded-fetch.ts';
import { introspect } from './inspect.ts';
import { callErrorFrom, fetchMetadata, metadataOf, type GuardedHttp } from './metadata.ts';
import type { Refusal } from './outcomes.ts';
import { ProviderCallError } from './provider-call-error.ts';
import { failureOf, refusalOf } from './refusal.ts';
import type { ProviderStrategies } from './strategies.ts';
import { callsItselfJson, standardAnswer, tokensIn } from './token-answer.ts';
import { tokenExchangeGrantType } from './token-exchange.ts';

export interface Answer {
  readonly kind: string;
  /** Where it brings one. */
  readonly tokenSet?: TokenSet;
}

export type Attempt<T extends Answer> = (way: {
  readonly credential: ClientCredential | null;
  readonly timeoutMs: number;
}) => Promise<T | Refusal>;

export interface AuthenticatedCall<T extends Answer> {
  /** What was sent and must not come back in the provider's words. */
  readonly secrets: readonly Secret[];
  readonly request: (way: {
    readonly server: oauth.AuthorizationServer;
    readonly authentication: oauth.ClientAuth;
    readonly http: GuardedHttp;
  }) => Promise<Response>;
  /** Nothing when the answer is none: it is weighed as a refusal then. */
  readonly read: (
    server: oauth.AuthorizationServer,
    response: Response,
    credential: ClientCredential | null,
  ) => Promise<T | undefined>;
  /** Less than any call has, where it is a part of another one. */
  readonly timeoutMs?: number | undefined;
  /** Goes with a proof where tokens are bound. @source RFC 9449 §5 */
  readonly isTokenCall?: boolean;
  /** Spends a refresh token: to what its tokens are bound, was seen when the authorization began. */
  readonly isRefresh?: boolean;
  /** Of an answer that brings what was asked for; 200 when absent. */
  readonly successStatus?: 200 | 201;
  /** The same, of an answer with another status. */
  readonly readRefusal?: (response: Response) => Promise<T | undefined>;
}

/** An answer as it came, whole. */
interface Said {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** What is done with it: with {@link Said} in the place of a response, which costs several times as much to make as to read. */
type Reading<T extends Answer> = Omit<AuthenticatedCall<T>, 'read' | 'readRefusal'> & {
  readonly read: (
    server: oauth.AuthorizationServer,
    said: Said,
    credential: ClientCredential | null,
  ) => Promise<T | undefined>;
  readonly readRefusal?: ((said: Said) => Promise<T | undefined>) | undefined;
};

/** How a token came: with which certificate, and how much time is left to ask about it. */
interface TokenSource {
  readonly shown: Secret | undefined;
  readonly leftMs: number;
}

interface HttpOptions {
  readonly timeoutMs: number;
  readonly isTokenCall?: boolean;
  readonly certificate?: Secret | undefined;
}

interface Sent {
  readonly secrets: readonly Secret[];
  readonly credential: ClientCredential | null;
}

/** Who calls whom, and how. */
export interface CallingSide {
  readonly provider: Provider;
  readonly resolved: ResolvedProvider;
  readonly client: oauth.Client;
  readonly method: TokenEndpointAuthMethod;
  readonly credentials: ClientCredentialSource | null;
  /** Are tokens to be bound to the client's certificate? @source RFC 8705 §3 */
  readonly bindsToCertificate: boolean;
  /** What tokens are for; null where that is not said. @source RFC 8707 §2 */
  readonly resource: string | null;
  readonly strategies: ProviderStrategies;
  readonly allowLoopback: boolean;
  readonly timeoutMs: number;
  readonly addresses: AddressGuard | undefined;
  readonly cache: DiscoveryCache;
  readonly prove: DpopProver | undefined;
  readonly nonces: DpopNonces;
  readonly nowMs: () => number;
}

/** How a call is made to a provider and its answer weighed, whatever it asks for. */
export class ProviderCalls {
  readonly #side: CallingSide;

  constructor(side: CallingSide) {
    this.#side = side;
  }

  get provider(): Provider {
    return this.#side.provider;
  }

  get client(): oauth.Client {
    return this.#side.client;
  }

  nowMs(): number {
    return this.#side.nowMs();
  }

  /** Has our client something to prove itself with? */
  get hasOwnCredential(): boolean {
    return this.#side.method !== 'none';
  }

  /** Are its connections made with a certificate? */
  get #showsCertificate(): boolean {
    return authenticatesByCertificate(this.#side.method) || this.#side.bindsToCertificate;
  }

  /** Are its tokens bound to a key of the connection? */
  get isBound(): boolean {
    return this.#side.prove !== undefined;
  }

  /** Is an ID token of use to this provider, which exchanges it? */
  get keepsIdentity(): boolean {
    return this.provider.grantTypes.includes(tokenExchangeGrantType);
  }

  /** A token endpoint may say no with any status; what brings no tokens is weighed as a refusal. */
  async tokenCall<T extends Answer>(call: AuthenticatedCall<T>): Promise<T | Refusal> {
    const startedMs = performance.now();
    let shown: Secret | undefined;
    const readRefusal = refusalReader(call);
    const reading: Reading<T> = {
      ...call,
      isTokenCall: true,
      readRefusal,
      read: async (server, said, credential) => {
        shown = credential?.certificate;
        const lift = (body: object) => this.#side.strategies.answer(body);
        const tokens = callsItselfJson(said) ? tokensIn(said.text, lift) : undefined;
        // A provider may say no with a 200.
        if (tokens === undefined) return await readRefusal?.(said);
        const text = JSON.stringify(standardAnswer(tokens, this.provider));
        return call.read(this.#side.strategies.server(server, tokens), responseOf({ ...said, text }), credential);
      },
    };
    const outcome = await this.withCredential((way) => this.#attempt(reading, way), call.timeoutMs);
    const leftMs = Math.floor(this.#side.timeoutMs - (performance.now() - startedMs));
    return await this.#settled(outcome, { shown, leftMs: call.isRefresh === true ? 0 : leftMs });
  }

  /** Says of a token whether it is bound to our certificate, and lets none pass that is not as it was to be. */
  async #settled<T extends Answer>(outcome: T | Refusal, { shown, leftMs }: TokenSource): Promise<T | Refusal> {
    if (!('tokenSet' in outcome) || outcome.tokenSet === undefined) return outcome;
    const { tokenSet } = outcome;
    try {
      const seen = confirmationIn(tokenSet.accessToken);
      const confirmed = seen === undefined ? await this.#told(tokenSet, { shown, leftMs }) : seen;
      const bound = isBoundTo({ shown, confirmed, asked: this.#side.bindsToCertificate });
      return bound ? { ...outcome, tokenSet: { ...tokenSet, boundTo: 'mtls' as const } } : outcome;
    } catch (error) {
      return failureOf(callErrorFrom(error));
    }
  }

  /** Of a token that nobody can read its server may tell, and is asked where it says that it binds. @source RFC 8705 §3.2 */
  async #told({ accessToken }: TokenSet, { shown, leftMs }: TokenSource): Promise<string | undefined> {
    if (shown === undefined || leftMs < 1) return undefined;
    const { tls_client_certificate_bound_access_tokens: binds, introspection_endpoint: endpoint } = await this.server();
    if (endpoint === undefined || binds !== true) return undefined;
    const named = { token: Secret.from(accessToken), hint: 'access_token' as const };
    const told = await introspect(this, named, leftMs);
    return told.kind === 'active' ? (told.x5tS256 ?? undefined) : undefined;
  }

  /** With our credentials, as {@link withCredential}. */
  async call<T extends Answer>(call: AuthenticatedCall<T>): Promise<T | Refusal> {
    const { read } = call;
    const reading: Reading<T> = {
      ...call,
      readRefusal: refusalReader(call),
      read: (server, said, credential) => read(server, responseOf(said), credential),
    };
    return await this.withCredential((way) => this.#attempt(reading, way), call.timeoutMs);
  }

  /** One call that brings what proves it itself. */
  async withoutCredential<T extends Answer>(attempt: Attempt<T>): Promise<T | Refusal> {
    return await attempt({ credential: null, timeoutMs: this.#side.timeoutMs });
  }

  /**
   * One call; and, when the provider refuses our credentials and there is another version of them, a second one with
   * that: a rotation here and at the provider never happens at the same instant. Who refuses a client has spent nothing
   * of what it brought. Both calls together take no more time than one may.
   */
  async withCredential<T extends Answer>(attempt: Attempt<T>, wholeMs = this.#side.timeoutMs): Promise<T | Refusal> {
    const { method, credentials } = this.#side;
    const credential = method === 'none' ? null : ((await credentials?.()) ?? null);
    const startedMs = performance.now();
    const outcome = await attempt({ credential, timeoutMs: wholeMs });
    if (outcome.kind !== 'client_rejected' || credential === null) return outcome;
    const other = await credentials?.(credential.version);
    const timeoutMs = Math.floor(wholeMs - (performance.now() - startedMs));
    if (other === undefined || other.version === credential.version || timeoutMs < 1) return outcome;
    return await attempt({ credential: other, timeoutMs });
  }

  async #attempt<T extends Answer>(
    { request, read, readRefusal, secrets, isTokenCall = false, successStatus = 200 }: Reading<T>,
    { credential, timeoutMs }: { credential: ClientCredential | null; timeoutMs: number },
  ): Promise<T | Refusal> {
    const { method, strategies } = this.#side;
    const authentication = clientAuthentication(method, credential, strategies.basicAuthentication);
    try {
      const server = await this.server();
      const certificate = this.#certificateIn(credential);
      const http = this.#http({ timeoutMs, isTokenCall, certificate });
      const response = await request({ server, authentication, http });
      const { status, headers } = response;
      const said: Said = { status, headers, text: await response.text() };
      const answer = status === successStatus ? await read(server, said, credential) : await readRefusal?.(said);
      return answer ?? (await this.refusal(responseOf(said), { secrets, credential }));
    } catch (error) {
      return failureOf(callErrorFrom(error));
    }
  }

  /** What the provider said in the place of what was asked for, without any secret that was sent. */
  async refusal(response: Response, sent: Sent): Promise<Refusal> {
    const { secrets, credential } = sent;
    const hidden = credential === null ? [] : sentFormsOf(this.client.client_id, credential);
    const { answers: rows } = this.provider;
    return await refusalOf({ response, rows, secrets: [...secrets, ...hidden], nowMs: this.nowMs() });
  }

  /** Sent with every question for tokens, so that none is good for another server. @source RFC 8707 §2.2 */
  get resourceParameter(): Record<string, string> {
    const { resource } = this.#side;
    return resource === null ? {} : { resource };
  }

  /** None is named where the provider's own choice is wanted. @source RFC 6749 §3.3 */
  scopeParameter(scopes: readonly string[]): Record<string, string> {
    return scopes.length === 0 ? {} : { scope: scopes.join(this.provider.scopeSeparator) };
  }

  #http({ timeoutMs, isTokenCall = false, certificate }: HttpOptions): GuardedHttp {
    // guardedFetch judges every URL, more strictly than oauth4webapi does without this switch.
    return {
      [oauth.customFetch]: this.#side.strategies.fetch(
        isTokenCall ? this.#proving({ timeoutMs, certificate }) : this.fetch(timeoutMs, certificate),
      ),
      [oauth.allowInsecureRequests]: true,
    };
  }

  /** How the provider's API is called with an access token. */
  fetchWith(accessToken: Secret): GuardedFetch {
    const { credentials, timeoutMs } = this.#side;
    if (!this.#showsCertificate) return this.#proving({ timeoutMs, accessToken });
    return async (url, init) => {
      const certificate = this.#certificateIn((await credentials?.()) ?? null);
      return await this.#proving({ timeoutMs, accessToken, certificate })(url, init);
    };
  }

  /** @throws {ProviderCallError} `client_certificate_expired`: a server that looks would refuse it, and others must not see it. */
  #certificateIn(credential: ClientCredential | null): Secret | undefined {
    const certificate = credential?.certificate;
    if (certificate !== undefined) requireInForce(certificate, this.nowMs());
    return certificate;
  }

  /** With proofs, where the tokens are bound to a key. */
  #proving({ certificate, ...call }: HttpOptions & { readonly accessToken?: Secret }): GuardedFetch {
    const { prove, nonces } = this.#side;
    if (prove === undefined) return this.fetch(call.timeoutMs, certificate);
    return withDpop({ ...call, prove, nonces, fetch: (timeoutMs) => this.fetch(timeoutMs, certificate) });
  }

  fetch(timeoutMs = this.#side.timeoutMs, certificate?: Secret): GuardedFetch {
    const { allowLoopback, addresses } = this.#side;
    return guardedFetch({ allowLoopback, timeoutMs, addresses, certificate });
  }

  /** The provider as its file or its own metadata has it, from the cache where that has it. */
  async server(): Promise<oauth.AuthorizationServer> {
    const { resolved, cache, allowLoopback, timeoutMs } = this.#side;
    if (resolved.kind === 'static') throw new ProviderCallError('metadata_incomplete');
    if (resolved.kind === 'known') return metadataOf(resolved, this.provider);
    const { issuer, metadata } = resolved;
    const found = await cache.get(`${metadata} ${issuer}`, () =>
      fetchMetadata({ issuer, metadata, http: this.#http({ timeoutMs }), allowLoopback }),
    );
    return this.#showsCertificate ? withMtlsAliases(found) : found;
  }
}

function responseOf({ status, headers, text }: Said): Response {
  return new Response(text === '' ? null : text, { status, headers });
}

function refusalReader<T extends Answer>({ readRefusal }: AuthenticatedCall<T>): Reading<T>['readRefusal'] {
  return readRefusal && ((said) => readRefusal(responseOf(said)));
}
