import { Injectable } from '@nestjs/common';
import type { ProvenStream } from '@postern/contracts';
import { readTogether, type EventLog } from '@postern/event-log';
import { EventLogs } from '@postern/service';

import { PastLogs } from './past-logs.ts';

/**
 * The streams that read models and checkpoints both follow, from wherever they stand to the end: what is new is read once
 * for both. Questions read by themselves: nobody who waits for an answer is held back by tables.
 */
@Injectable()
export class FollowedLogs {
  /** As they stand. */
  readonly standing: Readonly<Record<ProvenStream, EventLog>>;
  /** With what was archived of them. */
  readonly whole: Readonly<Record<'connections' | 'access', EventLog>>;

  constructor(logs: EventLogs, past: PastLogs) {
    const [connections, access] = [readTogether(logs.connections), readTogether(logs.access)];
    this.standing = { connections, access, admin: logs.admin };
    this.whole = {
      connections: past.withArchive('connections', connections),
      access: past.withArchive('access', access),
    };
  }
}
