import { Injectable } from '@nestjs/common';
import { operations, type EventView, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { LogEntry } from '@postern/event-log';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { ConnectionLog } from '../connection-log.ts';
import { Past } from '../past/past.ts';
import { pageDefault } from './page.ts';

/** Answers `connections.events`: what happened to one connection, in order, wherever it lies by now. */
@Injectable()
export class ListEvents {
  constructor(
    private readonly log: ConnectionLog,
    private readonly past: Past,
  ) {}

  @Serves(operations.listEvents)
  async list(
    { connection_id: id, after = 0, limit = pageDefault }: RequestOf<typeof operations.listEvents>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.listEvents>> {
    const asker = callingOwner(call);
    await this.log.load(asker, id);
    const events: EventView[] = [];
    // A page ends between commits, never inside one: its end is a position.
    for await (const entry of this.past.life({ tenantId: asker.tenantId, id }, after)) {
      if (events.length >= limit) return { events, next: events.at(-1)?.position ?? null };
      events.push(...viewsOf(entry));
    }
    return { events, next: null };
  }
}

function viewsOf({ position, commit }: LogEntry): EventView[] {
  const { revision, at, commitId, correlationId } = commit;
  const actor =
    commit.actor.id === undefined ? { type: commit.actor.type } : { type: commit.actor.type, id: commit.actor.id };
  return commit.events.map(({ type, version, data }) => ({
    position,
    revision,
    at,
    actor,
    type,
    version,
    data,
    ...{
      commit_id: commitId,
      correlation_id: correlationId,
    },
  }));
}
