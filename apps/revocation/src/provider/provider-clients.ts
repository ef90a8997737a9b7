import { Injectable } from '@nestjs/common';
import { pinnedOf, versionInUse, type Connection } from '@postern/domain';
import { loadCatalog, providerAt } from '@postern/provider-catalog';
import {
  DiscoveryCache,
  DpopNonces,
  ProviderClient,
  providerAddresses,
  type AddressGuard,
} from '@postern/provider-client';
import { ClientCredentials, DpopProofs } from '@postern/service';

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
  readonly #dpopNonces = new DpopNonces();
  readonly #addresses: AddressGuard | undefined;
  readonly #config: RevocationConfig;
  readonly #directory: Directory;
  readonly #credentials: ClientCredentials;
  readonly #proofs: DpopProofs;

  constructor(config: RevocationConfig, directory: Directory, credentials: ClientCredentials, proofs: DpopProofs) {
    this.#config = config;
    const { allowedProviderAddresses: allowed, allowLoopbackProviders: allowLoopback } = config;
    this.#addresses = providerAddresses({ allowed, allowLoopback });
    this.#directory = directory;
    this.#credentials = credentials;
    this.#proofs = proofs;
  }

  /** @throws {PosternError} `registration.*`, `provider.*`, `request.malformed`, what the vault answers */
  async revoking(connection: Connection): Promise<RevokingClient> {
    return await this.#client(connection);
  }

  /** @throws {PosternError} as {@link revoking} */
  async inquiring(connection: Connection): Promise<InquiringClient> {
    return await this.#client(connection);
  }

  async #client(connection: Connection): Promise<ProviderClient> {
    const { tenantId, registrationId } = connection;
    const registration = await this.#directory.registration(tenantId, registrationId);
    const { providerId } = registration;
    const rollout = await this.#directory.rollout(tenantId, providerId);
    const provider = providerAt(this.#catalog, providerId, versionInUse(pinnedOf(connection), rollout));
    return new ProviderClient({
      provider,
      registration,
      credentials: await this.#credentials.of(registration),
      allowLoopback: this.#config.allowLoopbackProviders,
      addresses: this.#addresses,
      discoveryCache: this.#discoveryCache,
      dpopNonces: this.#dpopNonces,
      // By the scheme Bearer a bound token would look dead.
      prove: connection.credential?.senderConstrained === 'dpop' ? this.#proofs.of(connection) : undefined,
    });
  }
}
