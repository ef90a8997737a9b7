import { Injectable } from '@nestjs/common';
import type { ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, upcast, type Connection } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { Clock, EventLogs, ServiceKeys } from '@postern/service';

/** The connections of the log. Nothing is kept in memory: what ends a connection is decided on the leader's word. */
@Injectable()
export class Connections extends Repository<Connection, ConnectionEvent> {
  constructor(logs: EventLogs, reader: CommitReader, keys: ServiceKeys, clock: Clock) {
    super({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      signer: keys.signer,
      source: '/postern/revocation',
      upcast,
      nowMs: () => clock.nowMs(),
    });
  }
}
