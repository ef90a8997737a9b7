import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import { registrationEvolver, upcast, versionInUse, type Registration, type RegistrationEvent } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { loadCatalog, providerAt, type Provider } from '@postern/provider-catalog';
import {
  DiscoveryCache,
  DpopNonces,
  ProviderClient,
  providerAddresses,
  type AddressGuard,
  type DpopProver,
} from '@postern/provider-client';
import { ClientCredentials, Clock, DpopProofs, EventLogs } from '@postern/service';

import type { HeldClaim } from '../claim/held-claim.ts';
import { RefreshConfig } from '../refresh-config.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { Rollouts } from '../rollouts.ts';
import { Kept } from './kept.ts';

/** A client at a provider, and what is known of refreshing there. */
export interface RefreshingClient {
  readonly client: ProviderClient;
  /** Does the provider replace refresh tokens, as far as we know? */
  readonly mayRotate: boolean;
  /** Nobody else is to use it any more; absent where nobody would. */
  readonly forget?: () => void;
}

/** For which connection a client is wanted: another version of the provider's file is another client. */
type ClientFor = Pick<HeldClaim, 'tenantId' | 'connectionId' | 'registrationId' | 'providerVersion' | 'isBound'>;

/**
 * Our clients at the providers, each for the refreshes that begin within the same second: its secret is fetched once for
 * them and kept no longer, or until the provider refuses it. An assertion serves one
 * call, and a key one connection, so that such a client is made for one refresh.
 */
@Injectable()
export class ProviderClients implements OnApplicationShutdown {
  readonly #catalog = loadCatalog();
  readonly #discoveryCache = new DiscoveryCache();
  readonly #dpopNonces = new DpopNonces();
  readonly #addresses: AddressGuard | undefined;
  readonly #registrations: Repository<Registration, RegistrationEvent>;
  readonly #rollouts: Rollouts;
  readonly #known: Kept<Registration>;
  readonly #clients: Kept<RefreshingClient>;
  readonly #config: RefreshConfig;
  readonly #credentials: ClientCredentials;
  readonly #proofs: DpopProofs;

  constructor(
    config: RefreshConfig,
    logs: EventLogs,
    reader: CommitReader,
    rollouts: Rollouts,
    credentials: ClientCredentials,
    proofs: DpopProofs,
    clock: Clock,
  ) {
    this.#config = config;
    const { allowedProviderAddresses: allowed, allowLoopbackProviders: allowLoopback } = config;
    this.#addresses = providerAddresses({ allowed, allowLoopback, keepsConnections: true });
    this.#credentials = credentials;
    this.#proofs = proofs;
    this.#known = new Kept(clock, refreshLimits.clientKeptMs);
    this.#clients = new Kept(clock, refreshLimits.clientKeptMs);
    this.#rollouts = rollouts;
    const source = { log: logs.admin, reader, upcast, source: '/postern/refresh' };
    this.#registrations = new Repository({ ...source, evolver: registrationEvolver });
  }

  /** @throws {PosternError} `registration.not_found`, `registration.disabled`, `provider.not_found`, what the vault says */
  async of(held: ClientFor): Promise<RefreshingClient> {
    const { tenantId, registrationId } = held;
    const name = `${tenantId}/${registrationId}`;
    const registration = await this.#known.of(name, () => this.#registration(tenantId, registrationId));
    const provider = this.#provider(held, registration.providerId);
    const prove = held.isBound ? this.#proofs.of(held) : undefined;
    const isForOneCall = prove !== undefined || registration.tokenEndpointAuthMethod === 'private_key_jwt';
    if (isForOneCall) return await this.#make(registration, provider, prove);
    const versioned = `${name}/${provider.version}`;
    const made = await this.#clients.of(versioned, () => this.#make(registration, provider));
    return { ...made, forget: () => this.#forget(name, versioned) };
  }

  #forget(name: string, versioned: string): void {
    this.#known.forget(name);
    this.#clients.forget(versioned);
  }

  /** The version of the provider's file that this connection uses now. */
  #provider({ tenantId, connectionId, registrationId, providerVersion: pinned }: ClientFor, id: string): Provider {
    const version = versionInUse({ connectionId, registrationId, pinned }, this.#rollouts.of(tenantId, id));
    return providerAt(this.#catalog, id, version);
  }

  onApplicationShutdown(): void {
    this.#known.clear();
    this.#clients.clear();
  }

  async #registration(tenantId: string, id: string): Promise<Registration> {
    const { state } = await this.#registrations.load({ tenantId, id });
    if (!state.exists) throw new PosternError('registration.not_found', 'There is no such client registration.');
    if (state.disabled) throw new PosternError('registration.disabled', 'The client registration is disabled.');
    return state;
  }

  async #make(registration: Registration, provider: Provider, prove?: DpopProver): Promise<RefreshingClient> {
    const client = new ProviderClient({
      provider,
      registration,
      credentials: await this.#credentials.of(registration),
      allowLoopback: this.#config.allowLoopbackProviders,
      addresses: this.#addresses,
      discoveryCache: this.#discoveryCache,
      timeoutMs: this.#config.providerTimeoutMs,
      dpopNonces: this.#dpopNonces,
      prove,
    });
    return { client, mayRotate: provider.refresh.rotation !== 'none' };
  }
}
