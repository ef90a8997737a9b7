import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf, type Actor } from '@postern/contracts';
import { revokeConnection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { Serves } from '@postern/service';

import { Confirmation } from '../confirmation/confirmation.ts';
import { ConnectionCommands } from '../connection-commands.ts';

/** Answers `connections.revoke`; the provider is told afterwards, and never waited for. */
@Injectable()
export class RevokeConnection {
  constructor(
    private readonly commands: ConnectionCommands,
    private readonly confirmation: Confirmation,
  ) {}

  @Serves(operations.revokeConnection)
  async revoke(
    { connection_id: connectionId, reason }: RequestOf<typeof operations.revokeConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.revokeConnection>> {
    const outcome = await this.commands.decide(call, connectionId, (state, { actor }) =>
      revokeConnection({ cause: causeOf(actor), reason: reason ?? null }, state),
    );
    return { ...outcome, ...(await this.confirmation.everywhere(outcome.position)) };
  }
}

function causeOf({ type }: Actor): 'requested_by_administrator' | 'requested_by_platform' {
  return type === 'administrator' ? 'requested_by_administrator' : 'requested_by_platform';
}
