import { Injectable } from '@nestjs/common';
import type { Connection } from '@postern/domain';
import { loadCatalog } from '@postern/provider-catalog';
import { eachOf } from '@postern/service';

import { AccountIndex } from '../accounts/account-index.ts';
import { accountFactOf } from '../accounts/account-rows.ts';
import { Connections } from '../connections.ts';
import { revocationLimits } from '../revocation-limits.ts';

/**
 * The other connections that end at the provider when one is ended there: of the same account, through the same
 * registration, where the provider's file says that its revocation ends more than was named.
 *
 * A registration is one tenant's, and accounts are digested for each tenant anew: whose connections another tenant has
 * through the same app of the provider nobody here can know. Their next refresh finds out.
 */
@Injectable()
export class Siblings {
  readonly #catalog = loadCatalog();

  constructor(
    private readonly index: AccountIndex,
    private readonly connections: Connections,
  ) {}

  /**
   * Those that live, as the leader of the log has them now.
   *
   * @throws {PosternError} `signal.index_unavailable`, `log.*`
   */
  async livingOf(state: Connection): Promise<Connection[]> {
    const { tenantId, connectionId, registrationId } = state;
    const digests = this.#sharedDigests(state);
    if (digests.length === 0) return [];
    const living = new Map<string, Connection>();
    for await (const page of this.index.find({ registration: { tenantId, registrationId }, digests })) {
      const others = page.filter((match) => match.connectionId !== connectionId);
      await eachOf(others, revocationLimits.signalFanOutMax, async ({ connectionId: id }) => {
        const { state: other } = await this.connections.load({ tenantId, id }, { fromLeader: true });
        const isLiving = other.authorization === 'authorized' && other.registrationId === registrationId;
        if (isLiving && this.#sharedDigests(other).some((digest) => digests.includes(digest))) living.set(id, other);
      });
    }
    return [...living.values()].toSorted((one, two) => (one.connectionId < two.connectionId ? -1 : 1));
  }

  /** The digests by which another connection is found to be of the same account; of a deleted one, too. */
  #sharedDigests(state: Connection): string[] {
    const keys = this.#catalog.get(state.providerId)?.revocation.ends.keys ?? [];
    const { accountKeys } = accountFactOf({ ...state, authorization: 'authorized' }, 0);
    return keys.map((key) => accountKeys[key]).filter((digest) => digest !== undefined);
  }
}
