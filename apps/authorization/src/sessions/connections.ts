import { Injectable } from '@nestjs/common';
import { subjects, type ConnectionEvent } from '@postern/contracts';
import { connectionEvolver, upcast, type Connection } from '@postern/domain';
import { aggregateOf, CommitReader, Repository } from '@postern/event-log';
import { Clock, EventLogs, ServiceKeys } from '@postern/service';

/** The connections of the log. Nothing is kept in memory: a session has few steps, and each decides on the newest. */
@Injectable()
export class Connections extends Repository<Connection, ConnectionEvent> {
  readonly #logs: EventLogs;

  constructor(logs: EventLogs, reader: CommitReader, keys: ServiceKeys, clock: Clock) {
    super({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      signer: keys.signer,
      source: '/postern/authorization',
      upcast,
      nowMs: () => clock.nowMs(),
    });
    this.#logs = logs;
  }

  /**
   * The tenant of a connection that is known by its id alone, as in a re-authorization link.
   *
   * @returns undefined when nothing stands under the id.
   */
  async tenantOf(connectionId: string): Promise<string | undefined> {
    const literal = subjects.connection({ tenantId: 'any', connectionId });
    const message = await this.#logs.connections.last(literal.replace('.any.', '.*.'));
    return message === undefined ? undefined : aggregateOf(message.subject)?.tenantId;
  }
}
