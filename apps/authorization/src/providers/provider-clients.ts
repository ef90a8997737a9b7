import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import { versionForAuthorization, type Registration } from '@postern/domain';
import { loadCatalog, providerAt, type Provider } from '@postern/provider-catalog';
import {
  bindsTokens,
  DiscoveryCache,
  DpopNonces,
  meetResource,
  ProviderClient,
  type AskedFeatures,
  type ClientCredentialSource,
  type ClientRegistration,
  type DpopProver,
  providerAddresses,
  type AddressGuard,
  type ClientDocument,
  type MetResource,
  type RequestSigner,
} from '@postern/provider-client';
import { ClientCredentials, DpopProofs, RequestObjects, ServiceConfig } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';
import { Directory } from '../directory/directory.ts';

/**
 * Our clients at the providers, with a credential only where one is about to be used.
 *
 * A session goes to its end with the version of the provider's file that it began with (`version`; undefined for those
 * that began before there were versions): what was sent away is read by the same rules.
 */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #dpopNonces = new DpopNonces();
  readonly #addresses: AddressGuard | undefined;
  readonly #config: AuthorizationConfig;
  readonly #publicUrl: string;
  readonly #credentials: ClientCredentials;
  readonly #proofs: DpopProofs;
  readonly #requests: RequestObjects;
  readonly #directory: Directory;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    credentials: ClientCredentials,
    proofs: DpopProofs,
    requests: RequestObjects,
    directory: Directory,
  ) {
    this.#directory = directory;
    this.#config = config;
    const { allowedProviderAddresses: allowed, allowLoopbackProviders: allowLoopback } = config;
    this.#addresses = providerAddresses({ allowed, allowLoopback });
    this.#publicUrl = service.publicUrl;
    this.#credentials = credentials;
    this.#proofs = proofs;
    this.#requests = requests;
  }

  /**
   * The provider as a new session of this connection finds it, in the version that the session is then pinned to.
   *
   * @param pinned the version of before; null for a new connection
   * @throws {PosternError} `provider.not_found`
   */
  forSession(
    { tenantId, registrationId, providerId }: Registration,
    { connectionId, pinned }: { readonly connectionId: string; readonly pinned: number | null },
  ): Provider {
    const rollout = this.#directory.rollout(tenantId, providerId);
    return this.#at(providerId, versionForAuthorization({ connectionId, registrationId, pinned }, rollout));
  }

  /** What is known of refreshing there, for the event that records an authorization. */
  refreshPolicyOf(providerId: string, version: number | undefined): Provider['refresh'] {
    return this.#at(providerId, version).refresh;
  }

  /** Meets an MCP server, at the addresses where providers may be. @throws {PosternError} as `meetResource` */
  async meet(wanted: {
    readonly url: string;
    readonly issuer: string | undefined;
    readonly document: ClientDocument;
    readonly hasClient: boolean;
  }): Promise<MetResource> {
    const { allowLoopbackProviders: allowLoopback } = this.#config;
    return await meetResource({ ...wanted, allowLoopback, addresses: this.#addresses });
  }

  /** The one redirect URI of a registration; exact, so that answers cannot be mixed up. @source RFC 9700 §2.1, §4.4 */
  redirectUri({ registrationId }: Registration): string {
    return `${this.#publicUrl}/oauth/callback/${registrationId}`;
  }

  /** A client that can say where a provider is and read what a browser brings back, and nothing more. */
  withoutCredentials(registration: Registration, version: number | undefined): ProviderClient {
    return this.#client(registration, version, null);
  }

  /** A client that nobody registered yet: it can say what the provider has, by the newest version of its file. */
  toBe(wanted: Pick<Registration, 'providerId' | 'parameters'> & AskedFeatures): ProviderClient {
    return this.#client({ ...wanted, clientId: '', tokenEndpointAuthMethod: 'none' }, undefined, null);
  }

  /**
   * A client that can send a browser away. Only where the request is pushed must it prove itself, so that only then the
   * vault is asked.
   */
  departing(registration: Registration, version: number | undefined): ProviderClient {
    let source: Promise<ClientCredentialSource | null> | undefined;
    return this.#client(
      registration,
      version,
      async (refusedVersion) => {
        source ??= this.#credentials.of(registration);
        const credentials = await source;
        if (credentials === null) throw new PosternError('provider.client_rejected', 'A public client has no secret.');
        return await credentials(refusedVersion);
      },
      { signRequest: this.#requests.of(registration) },
    );
  }

  /**
   * A client that can have tokens for a connection, bound to the connection's key where this registration's are.
   *
   * @throws {PosternError} what the vault answers
   */
  async withCredentials(
    registration: Registration,
    { version, connectionId }: { readonly version: number | undefined; readonly connectionId: string },
  ): Promise<ProviderClient> {
    const { tenantId } = registration;
    const binds = bindsTokens(this.#at(registration.providerId, version), registration);
    const prove = binds ? this.#proofs.of({ tenantId, connectionId }) : undefined;
    return this.#client(registration, version, await this.#credentials.of(registration), { prove });
  }

  /**
   * The name of the key to which the tokens of a connection will be bound; undefined where they will not. A proof that
   * goes nowhere tells it.
   *
   * @source RFC 9449 §10
   */
  async dpopJkt(
    registration: Registration,
    { version, connectionId }: { readonly version: number | undefined; readonly connectionId: string },
  ): Promise<string | undefined> {
    if (!bindsTokens(this.#at(registration.providerId, version), registration)) return undefined;
    const { tenantId } = registration;
    const { jkt } = await this.#proofs.of({ tenantId, connectionId })({ htm: 'POST', htu: 'https://postern.invalid/' });
    return jkt;
  }

  #at(providerId: string, version: number | null | undefined): Provider {
    return providerAt(this.#catalog, providerId, version ?? null);
  }

  #client(
    registration: ClientRegistration & Pick<Registration, 'providerId'>,
    version: number | undefined,
    credentials: ClientCredentialSource | null,
    signers: { readonly prove?: DpopProver | undefined; readonly signRequest?: RequestSigner } = {},
  ): ProviderClient {
    return new ProviderClient({
      provider: this.#at(registration.providerId, version),
      registration,
      credentials,
      allowLoopback: this.#config.allowLoopbackProviders,
      addresses: this.#addresses,
      discoveryCache: this.#discoveryCache,
      dpopNonces: this.#dpopNonces,
      ...signers,
    });
  }
}
