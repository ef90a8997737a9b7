import { Injectable } from '@nestjs/common';
import { delegationChain, loadDelegationChain, type Connection, type DelegationChain } from '@postern/domain';

import { Connections } from '../connections.ts';

/** What derived connections lean on, by the same log and the same feed as everything else that is decided here. */
@Injectable()
export class Delegations {
  constructor(private readonly connections: Connections) {}

  /** From memory alone; undefined where a part of it is not there. */
  peek({ tenantId, credential }: Connection): DelegationChain | undefined {
    return delegationChain(credential?.delegation, (id) => this.connections.peek({ tenantId, id })?.state);
  }

  async load({ tenantId, credential, session }: Connection, { fromLeader = false } = {}): Promise<DelegationChain> {
    const first = credential === null ? session?.delegation : credential.delegation;
    return await loadDelegationChain(
      first,
      async (id) => (await this.connections.load({ tenantId, id }, { fromLeader })).state,
    );
  }
}
