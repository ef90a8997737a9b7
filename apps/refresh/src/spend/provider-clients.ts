import { Injectable } from '@nestjs/common';
import { operations, PosternError } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import { registrationEvolver, upcast, type Registration, type RegistrationEvent } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { DiscoveryCache, ProviderClient } from '@postern/provider-client';
import { EventLogs, OperationsClient, ServiceKeys } from '@postern/service';

import { RefreshConfig } from '../refresh-config.ts';

/** A client at a provider, and what is known of refreshing there. */
export interface RefreshingClient {
  readonly client: ProviderClient;
  /** Does the provider replace refresh tokens, as far as we know? */
  readonly mayRotate: boolean;
}

/** Our clients at the providers, made for one refresh each: the secret lives no longer. */
@Injectable()
export class ProviderClients {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #registrations: Repository<Registration, RegistrationEvent>;
  readonly #config: RefreshConfig;
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;

  constructor(
    config: RefreshConfig,
    logs: EventLogs,
    reader: CommitReader,
    operationsClient: OperationsClient,
    keys: ServiceKeys,
  ) {
    this.#config = config;
    this.#operations = operationsClient;
    this.#keys = keys;
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
      clientSecret: state.tokenEndpointAuthMethod === 'none' ? null : await this.#secretOf(state),
      allowLoopback: this.#config.allowLoopbackProviders,
      discoveryCache: this.#discoveryCache,
      timeoutMs: this.#config.providerTimeoutMs,
    });
    return { client, mayRotate: provider.refresh.rotation !== 'none' };
  }

  async #secretOf({ tenantId, registrationId }: Registration): Promise<Secret> {
    const { sealed_secret: sealed } = await this.#operations.call(
      operations.releaseClientSecret,
      { app: 'refresh' },
      { tenant_id: tenantId, registration_id: registrationId },
    );
    return openSecret(this.#keys, sealed);
  }
}

/** Opens a text that was sealed to this service. @throws {PosternError} `service.internal` */
function openSecret(keys: ServiceKeys, sealed: string): Secret {
  try {
    const { plaintext } = keys.opener.open(sealed);
    const secret = Secret.from(plaintext.toString('utf8'));
    zero(plaintext);
    return secret;
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new PosternError('service.internal', 'The client secret was not sealed to this service.');
  }
}
