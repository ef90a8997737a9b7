import { Injectable } from '@nestjs/common';
import { operations, type ConnectionView, type ReplyOf, type RequestOf } from '@postern/contracts';
import { aggregateOf } from '@postern/event-log';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { ConnectionLog, sees } from '../connection-log.ts';

const pageDefault = 50;

/**
 * Answers `connections.list` from the log itself: the last message of each connection carries its state. A page
 * begins after a position, so that paging costs no memory here; a connection that changes meanwhile moves to the end.
 */
@Injectable()
export class ListConnections {
  constructor(private readonly log: ConnectionLog) {}

  @Serves(operations.listConnections)
  async list(
    { after = 0, limit = pageDefault }: RequestOf<typeof operations.listConnections>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.listConnections>> {
    const asker = callingOwner(call);
    const connections: ConnectionView[] = [];
    const filter = this.log.subjectsOf(asker);
    for await (const { position, subject } of this.log.logs.connections.read({ filter, lastPerSubject: true })) {
      const id = aggregateOf(subject)?.id;
      if (position <= after || id === undefined) continue;
      const loaded = await this.log.repository.load({ tenantId: asker.tenantId, id });
      if (loaded.revision === 0 || !sees(asker, loaded.state.platformId)) continue;
      if (connections.length === limit) return { connections, next: connections.at(-1)?.position ?? null };
      connections.push(await this.log.view(loaded));
    }
    return { connections, next: null };
  }
}
