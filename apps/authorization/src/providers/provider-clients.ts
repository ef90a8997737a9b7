import { Injectable } from '@nestjs/common';
import type { Registration } from '@postern/domain';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import {
  DiscoveryCache,
  meetResource,
  ProviderClient,
  type ClientCredentialSource,
  providerAddresses,
  type AddressGuard,
  type ClientDocument,
  type MetResource,
} from '@postern/provider-client';
import { ClientCredentials, ServiceConfig } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';

/** Our clients at the providers, with a credential only where one is about to be used. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #addresses: AddressGuard | undefined;
  readonly #config: AuthorizationConfig;
  readonly #publicUrl: string;
  readonly #credentials: ClientCredentials;

  constructor(config: AuthorizationConfig, service: ServiceConfig, credentials: ClientCredentials) {
    this.#config = config;
    const { allowedProviderAddresses: allowed, allowLoopbackProviders: allowLoopback } = config;
    this.#addresses = providerAddresses({ allowed, allowLoopback });
    this.#publicUrl = service.publicUrl;
    this.#credentials = credentials;
  }

  /** @throws {PosternError} `provider.not_found` */
  provider(registration: Registration): Provider {
    return providerOf(this.#catalog, registration.providerId);
  }

  /** What is known of refreshing there, for the event that records an authorization. */
  refreshPolicyOf(providerId: string): Provider['refresh'] | undefined {
    return this.#catalog.get(providerId)?.refresh;
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

  /** A client that can send a browser away and read what it brings back, and nothing more. */
  withoutCredentials(registration: Registration): ProviderClient {
    return this.#client(registration, null);
  }

  /**
   * A client that can spend a code.
   *
   * @throws {PosternError} what the vault answers
   */
  async withCredentials(registration: Registration): Promise<ProviderClient> {
    return this.#client(registration, await this.#credentials.of(registration));
  }

  #client(registration: Registration, credentials: ClientCredentialSource | null): ProviderClient {
    return new ProviderClient({
      provider: this.provider(registration),
      registration,
      credentials,
      allowLoopback: this.#config.allowLoopbackProviders,
      addresses: this.#addresses,
      discoveryCache: this.#discoveryCache,
    });
  }
}
