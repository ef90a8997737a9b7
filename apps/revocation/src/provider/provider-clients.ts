import { Injectable } from '@nestjs/common';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { DiscoveryCache, ProviderClient, providerAddresses, type AddressGuard } from '@postern/provider-client';
import { ClientCredentials } from '@postern/service';

import { Directory } from '../directory.ts';
import { RevocationConfig } from '../revocation-config.ts';

/** A client at a provider, which is to be told something. */
export type RevokingClient = Pick<ProviderClient, 'revoke' | 'hasOwnRevocation' | 'endAuthorization' | 'refresh'>;

/** A client at a provider, which is to be asked whether a token lives. */
export type InquiringClient = Pick<ProviderClient, 'discover' | 'introspect' | 'probe'>;

/** Our clients at the providers, made when one is to be told or asked something. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #addresses: AddressGuard | undefined;
  readonly #config: RevocationConfig;
  readonly #directory: Directory;
  readonly #credentials: ClientCredentials;

  constructor(config: RevocationConfig, directory: Directory, credentials: ClientCredentials) {
    this.#config = config;
    const { allowedProviderAddresses: allowed, allowLoopbackProviders: allowLoopback } = config;
    this.#addresses = providerAddresses({ allowed, allowLoopback });
    this.#directory = directory;
    this.#credentials = credentials;
  }

  /** @throws {PosternError} `registration.*`, `provider.*`, `request.malformed`, what the vault answers */
  async revoking(tenantId: string, registrationId: string): Promise<RevokingClient> {
    return await this.#client(tenantId, registrationId);
  }

  /** @throws {PosternError} as {@link revoking} */
  async inquiring(tenantId: string, registrationId: string): Promise<InquiringClient> {
    return await this.#client(tenantId, registrationId);
  }

  async #client(tenantId: string, registrationId: string): Promise<ProviderClient> {
    const registration = await this.#directory.registration(tenantId, registrationId);
    const provider = providerOf(this.#catalog, registration.providerId);
    return new ProviderClient({
      provider,
      registration,
      credentials: await this.#credentials.of(registration),
      allowLoopback: this.#config.allowLoopbackProviders,
      addresses: this.#addresses,
      discoveryCache: this.#discoveryCache,
    });
  }
}
