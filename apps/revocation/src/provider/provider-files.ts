import { Injectable } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import {
  pinnedOf,
  versionForRegistration,
  versionInUse,
  type Connection,
  type Registration,
  type Rollout,
} from '@postern/domain';
import { loadCatalog, providerAt, type Provider } from '@postern/provider-catalog';

import { AdminFeed } from '../admin-feed.ts';

/**
 * What the catalog says of a provider, in the version that counts: a connection's own for what is about one connection,
 * its registration's for what is said or asked before one is known.
 */
@Injectable()
export class ProviderFiles {
  readonly #catalog = loadCatalog();

  constructor(private readonly feed: AdminFeed) {}

  /** The version that a connection uses; undefined where the provider left the catalog. */
  of(connection: Connection): Provider | undefined {
    return this.#at(connection, (rollout) => versionInUse(pinnedOf(connection), rollout));
  }

  /** The version of a registration; undefined where the provider left the catalog. */
  ofRegistration(registration: Registration): Provider | undefined {
    return this.#at(registration, (rollout) => versionForRegistration(registration.registrationId, rollout));
  }

  #at(
    { tenantId, providerId }: Pick<Connection, 'tenantId' | 'providerId'>,
    decide: (rollout: Rollout | undefined) => number | null,
  ): Provider | undefined {
    if (!this.#catalog.has(providerId)) return undefined;
    return providerAt(this.#catalog, providerId, decide(this.#rollout(tenantId, providerId)));
  }

  /** One that cannot be read counts as none: its feed has told of it, and what a provider says is heard all the same. */
  #rollout(tenantId: string, providerId: string): Rollout | undefined {
    try {
      return this.feed.rollout(tenantId, providerId);
    } catch (error) {
      if (isPosternError(error)) return undefined;
      throw error;
    }
  }
}
