import { Injectable } from '@nestjs/common';
import { limits, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { requireOwnedBy, type Owner } from '@postern/domain';
import type { Call } from '@postern/nats';
import { Serves } from '@postern/service';

import { Connections } from '../connections.ts';
import { RefreshConfig } from '../refresh-config.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { RefreshFlights } from './refresh-flights.ts';

/** Answers `connections.refresh`: refreshes a connection now, or says why not. */
@Injectable()
export class RefreshConnection {
  constructor(
    private readonly config: RefreshConfig,
    private readonly connections: Connections,
    private readonly flights: RefreshFlights,
  ) {}

  @Serves(operations.refreshConnection)
  async refresh(
    request: RequestOf<typeof operations.refreshConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.refreshConnection>> {
    const owner = callingOwner(call);
    const connection = { tenantId: owner.tenantId, id: request.connection_id };
    const { state } = await this.connections.load(connection);
    requireOwnedBy(state, owner);
    const answer = await this.flights.answer(
      {
        connection,
        // Who names a version wants it replaced; who names none wants a refresh of whatever is current.
        reason: request.credential_version === undefined ? 'requested' : 'expired',
        credentialVersion: request.credential_version ?? state.credential?.version ?? 1,
        reauthorizeUrl: `${this.config.publicUrl}/connect/${connection.id}`,
      },
      { timeoutMs: limits.leaseRefreshWaitMs - refreshLimits.replyMarginMs },
    );
    if ('refusal' in answer) throw answer.refusal;
    return answer.reply;
  }
}

/** A platform, the vault on its behalf, or an administrator for the whole tenant: the subject says who. */
function callingOwner({ caller }: Call): Owner {
  if (caller.app === undefined) return { tenantId: caller.tenantId, platformId: caller.platformId };
  throw new PosternError('auth.forbidden', 'This operation is for platforms.');
}
