import { isPosternError } from '@postern/contracts';
import { pinnedOf, versionInUse, type Connection, type Rollout } from '@postern/domain';
import { loadCatalog, providerAt, type VersionedCatalog } from '@postern/provider-catalog';

import { Rollouts } from '../rollouts.ts';
import {
  authorizationEndsAtMs,
  unknownPolicy,
  planRefresh,
  restEndsAtMs,
  type ClockPolicy,
  type PlannedDue,
} from './plan-refresh.ts';

/** Plans by what the version of its provider's file that a connection uses says of clocks. */
export class Plans {
  readonly #catalog: VersionedCatalog;
  readonly #rollouts: Pick<Rollouts, 'of'>;

  constructor(rollouts: Pick<Rollouts, 'of'>, catalog: VersionedCatalog = loadCatalog()) {
    this.#rollouts = rollouts;
    this.#catalog = catalog;
  }

  of(state: Connection): PlannedDue | undefined {
    return planRefresh(state, this.#policyOf(state));
  }

  /** When the provider ends the authorization, whatever we do; null when nothing is known of that. */
  authorizationEndOf(state: Connection): number | null {
    return state.credential === null ? null : authorizationEndsAtMs(state.credential, this.#policyOf(state));
  }

  /** When the refresh token ends if nobody uses it; null where nothing is known of that. */
  restEndOf(state: Connection): number | null {
    return state.credential === null ? null : restEndsAtMs(state.credential, this.#policyOf(state));
  }

  #policyOf(state: Connection): ClockPolicy {
    const { providerId } = state;
    if (!this.#catalog.has(providerId)) return unknownPolicy;
    return providerAt(this.#catalog, providerId, versionInUse(pinnedOf(state), this.#rolloutOf(state))).refresh;
  }

  /** One that cannot be read is no reason to stop the clocks: its feed has told of it, and the pin counts. */
  #rolloutOf({ tenantId, providerId }: Connection): Rollout | undefined {
    try {
      return this.#rollouts.of(tenantId, providerId);
    } catch (error) {
      if (isPosternError(error)) return undefined;
      throw error;
    }
  }
}
