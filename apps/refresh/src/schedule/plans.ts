import type { Connection } from '@postern/domain';
import type { Catalog } from '@postern/provider-catalog';

import {
  authorizationEndsAtMs,
  cautiousPolicy,
  planRefresh,
  restEndsAtMs,
  type ClockPolicy,
  type PlannedDue,
} from './plan-refresh.ts';

/** Plans by what the catalog says of each connection's provider. */
export class Plans {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
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

  #policyOf({ providerId }: Connection): ClockPolicy {
    return this.#catalog.get(providerId)?.refresh ?? cautiousPolicy;
  }
}
