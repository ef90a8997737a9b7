import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { requestDeletion } from '@postern/domain';
import type { Call } from '@postern/nats';
import { Serves } from '@postern/service';

import { Confirmation } from '../confirmation/confirmation.ts';
import { EndsWithSiblings } from '../siblings/end-with-siblings.ts';

/** Answers `connections.delete`; the key is shredded when the provider was told or finally could not be. */
@Injectable()
export class DeleteConnection {
  constructor(
    private readonly ending: EndsWithSiblings,
    private readonly confirmation: Confirmation,
  ) {}

  @Serves(operations.deleteConnection)
  async delete(
    { connection_id: connectionId, reason, cascade = false }: RequestOf<typeof operations.deleteConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.deleteConnection>> {
    const outcome = await this.ending.decide(call, { connectionId, cascade }, (state) =>
      requestDeletion({ reason: reason ?? null }, state),
    );
    return { ...outcome, ...(await this.confirmation.everywhere(outcome.position)) };
  }
}
