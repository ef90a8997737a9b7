import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import { registrationEvolver, upcast, type Registration, type RegistrationEvent } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { DiscoveryCache, ProviderClient } from '@postern/provider-client';
import { ClientCredentials, EventLogs } from '@postern/service';

import { RefreshConfig } from '../refresh-config.ts';

/** A client at a provider, and what is known of refreshing there. */
export interface RefreshingClient {
  readonly client: ProviderClient;
  /** Does the provider replace refresh tokens, as far as we know? */
  readonly mayRotate: boolean;
}

/** Our clients at the providers, made for one refresh each: a credential lives no longer. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #registrations: Repository<Registration, RegistrationEvent>;
  readonly #config: RefreshConfig;
  readonly #credentials: ClientCredentials;

  constructor(config: RefreshConfig, logs: EventLogs, reader: CommitReader, credentials: ClientCredentials) {
    this.#config = config;
    this.#credentials = credentials;
    this.#registrations = new Repository({
      log: logs.admin,
      reader,
      evolver: registrationEvolver,
      upcast,
      source: '/postern/refresh',
    });
  }

  /** @throws {PosternError} `registration.not_found`, `registration.disabled`, `provider.not_found`, what the vault says */
  async of({ tenantId, registrationId }: { tenantId: string; registrationId: string }): Promise<RefreshingClient> {
    const { state } = await this.#registrations.load({ tenantId, id: registrationId });
    if (!state.exists) throw new PosternError('registration.not_found', 'There is no such client registration.');
    if (state.disabled) throw new PosternError('registration.disabled', 'The client registration is disabled.');
    const provider = providerOf(this.#catalog, state.providerId);
    const client = new ProviderClient({
      provider,
      registration: state,
      credentials: await this.#credentials.of(state),
      allowLoopback: this.#config.allowLoopbackProviders,
      discoveryCache: this.#discoveryCache,
      timeoutMs: this.#config.providerTimeoutMs,
    });
    return { client, mayRotate: provider.refresh.rotation !== 'none' };
  }
}
