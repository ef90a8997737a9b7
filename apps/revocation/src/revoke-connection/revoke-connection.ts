import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { revokeConnection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { Serves } from '@postern/service';

import { Confirmation } from '../confirmation/confirmation.ts';
import { causeOf, EndsWithSiblings } from '../siblings/end-with-siblings.ts';

/** Answers `connections.revoke`; the provider is told afterwards, and never waited for. */
@Injectable()
export class RevokeConnection {
  constructor(
    private readonly ending: EndsWithSiblings,
    private readonly confirmation: Confirmation,
  ) {}

  @Serves(operations.revokeConnection)
  async revoke(
    { connection_id: connectionId, reason, cascade = false }: RequestOf<typeof operations.revokeConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.revokeConnection>> {
    const outcome = await this.ending.decide(call, { connectionId, cascade }, (state, { actor }) =>
      revokeConnection({ cause: causeOf(actor), reason: reason ?? null }, state),
    );
    return { ...outcome, ...(await this.confirmation.everywhere(outcome.position)) };
  }
}
