import { Injectable } from '@nestjs/common';
import { operations, PosternError } from '@postern/contracts';
import { CryptoError, Secret } from '@postern/crypto';
import type { Registration } from '@postern/domain';
import { loadCatalog, providerOf, type Provider } from '@postern/provider-catalog';
import { DiscoveryCache, ProviderClient } from '@postern/provider-client';
import { OperationsClient, ServiceConfig, ServiceKeys } from '@postern/service';

import { AuthorizationConfig } from '../authorization-config.ts';

/** Our clients at the providers, with a secret only where one is about to be used. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #config: AuthorizationConfig;
  readonly #publicUrl: string;
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;

  constructor(
    config: AuthorizationConfig,
    service: ServiceConfig,
    operationsClient: OperationsClient,
    keys: ServiceKeys,
  ) {
    this.#config = config;
    this.#publicUrl = service.publicUrl;
    this.#operations = operationsClient;
    this.#keys = keys;
  }

  /** @throws {PosternError} `provider.not_found` */
  provider(registration: Registration): Provider {
    return providerOf(this.#catalog, registration.providerId);
  }

  /** The one redirect URI of a registration; exact, so that answers cannot be mixed up. @source RFC 9700 §2.1, §4.4 */
  redirectUri({ registrationId }: Registration): string {
    return `${this.#publicUrl}/oauth/callback/${registrationId}`;
  }

  /** A client that can send a browser away and read what it brings back, and nothing more. */
  withoutSecret(registration: Registration): ProviderClient {
    return this.#client(registration, null);
  }

  /**
   * A client that can spend a code.
   *
   * @throws {PosternError} what the vault answers; `provider.client_rejected` when it holds no secret
   */
  async withSecret(registration: Registration): Promise<ProviderClient> {
    const { tokenEndpointAuthMethod } = registration;
    return this.#client(registration, tokenEndpointAuthMethod === 'none' ? null : await this.#secretOf(registration));
  }

  #client(registration: Registration, clientSecret: Secret | null): ProviderClient {
    return new ProviderClient({
      provider: this.provider(registration),
      registration,
      clientSecret,
      allowLoopback: this.#config.allowLoopbackProviders,
      discoveryCache: this.#discoveryCache,
    });
  }

  async #secretOf({ tenantId, registrationId }: Registration): Promise<Secret> {
    const { sealed_secret: sealed } = await this.#operations.call(
      operations.releaseClientSecret,
      { app: 'authorization' },
      { tenant_id: tenantId, registration_id: registrationId },
    );
    try {
      return Secret.from(this.#keys.opener.open(sealed).plaintext.toString('utf8'));
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('service.internal', 'The client secret was not sealed to this service.');
    }
  }
}
