import { Injectable } from '@nestjs/common';
import type { Connection } from '@postern/domain';
import { eachOf } from '@postern/service';

import { AccountIndex } from '../accounts/account-index.ts';
import { accountFactOf } from '../accounts/account-rows.ts';
import { Connections } from '../connections.ts';
import { ProviderFiles } from '../provider/provider-files.ts';
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
  constructor(
    private readonly index: AccountIndex,
    private readonly connections: Connections,
    private readonly files: ProviderFiles,
  ) {}

  /**
   * Those that live, as the leader of the log has them now.
   *
   * @throws {PosternError} `signal.index_unavailable`, `log.*`
   */
  async livingOf(state: Connection): Promise<Connection[]> {
    const { tenantId, connectionId, registrationId } = state;
    const keys = this.files.of(state)?.revocation.ends.keys ?? [];
    const digests = digestsOf(state, keys);
    if (digests.length === 0) return [];
    const living = new Map<string, Connection>();
    for await (const page of this.index.find({ registration: { tenantId, registrationId }, digests })) {
      const others = page.filter((match) => match.connectionId !== connectionId);
      await eachOf(others, revocationLimits.signalFanOutMax, async ({ connectionId: id }) => {
        const { state: other } = await this.connections.load({ tenantId, id }, { fromLeader: true });
        const isLiving = other.authorization === 'authorized' && other.registrationId === registrationId;
        if (isLiving && digestsOf(other, keys).some((digest) => digests.includes(digest))) living.set(id, other);
      });
    }
    return [...living.values()].toSorted((one, two) => (one.connectionId < two.connectionId ? -1 : 1));
  }
}

/**
 * The digests by which a connection is found to be of the same account; of a deleted one, too. Which keys these are is
 * said by the file of the one that ends, in the version that it uses: its end is what the provider is told.
 */
function digestsOf(state: Connection, keys: readonly string[]): string[] {
  const { accountKeys } = accountFactOf({ ...state, authorization: 'authorized' }, 0);
  return keys.map((key) => accountKeys[key]).filter((digest) => digest !== undefined);
}
