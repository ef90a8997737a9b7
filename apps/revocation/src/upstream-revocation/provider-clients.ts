import { Injectable } from '@nestjs/common';
import type { Registration } from '@postern/domain';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { DiscoveryCache, ProviderClient } from '@postern/provider-client';

import { Directory } from '../directory.ts';
import { RevocationConfig } from '../revocation-config.ts';
import { VaultSecrets } from './vault-secrets.ts';

/** A client at a provider, and the words by which that provider refuses our credentials. */
export interface RevokingClient {
  readonly client: Pick<ProviderClient, 'revoke'>;
  readonly clientRejectedWords: readonly string[];
}

/** Our clients at the providers, made when one is to be told something. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #config: RevocationConfig;
  readonly #directory: Directory;
  readonly #secrets: VaultSecrets;

  constructor(config: RevocationConfig, directory: Directory, secrets: VaultSecrets) {
    this.#config = config;
    this.#directory = directory;
    this.#secrets = secrets;
  }

  /** @throws {PosternError} `registration.*`, `provider.*`, `request.malformed`, what the vault answers */
  async revoking(tenantId: string, registrationId: string): Promise<RevokingClient> {
    const registration = await this.#directory.registration(tenantId, registrationId);
    const provider = providerOf(this.#catalog, registration.providerId);
    const client = new ProviderClient({
      provider,
      registration,
      clientSecret: await this.#secretOf(registration),
      allowLoopback: this.#config.allowLoopbackProviders,
      discoveryCache: this.#discoveryCache,
    });
    return { client, clientRejectedWords: provider.errorWords.clientRejected };
  }

  async #secretOf({ tenantId, registrationId, tokenEndpointAuthMethod }: Registration) {
    return tokenEndpointAuthMethod === 'none' ? null : await this.#secrets.clientSecret(tenantId, registrationId);
  }
}
