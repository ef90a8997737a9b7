import { Injectable } from '@nestjs/common';
import type { Actor, ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, upcast, type Connection } from '@postern/domain';
import { CommitReader, Repository, retryDelayMs } from '@postern/event-log';
import { Clock, EventLogs, ServiceKeys } from '@postern/service';

import { refreshLimits } from './refresh-limits.ts';

/** Who decides in this app. */
export const refreshActor: Actor = Object.freeze({ type: 'service', id: 'refresh' });

/** The connections of the log; states in memory are kept by `ConnectionFeed`. */
@Injectable()
export class Connections extends Repository<Connection, ConnectionEvent> {
  constructor(logs: EventLogs, reader: CommitReader, keys: ServiceKeys, clock: Clock) {
    super({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      signer: keys.signer,
      source: '/postern/refresh',
      upcast,
      cacheEntriesMax: refreshLimits.connectionsCachedMax,
      nowMs: () => clock.nowMs(),
      pause: (policy, attempt) => clock.sleep(retryDelayMs(policy, attempt, clock.random())),
    });
  }
}
