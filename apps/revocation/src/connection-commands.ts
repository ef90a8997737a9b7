import { Injectable } from '@nestjs/common';
import type { ConnectionEvent } from '@postern/contracts';
import { freshnessOf, requireOwnedBy, type Connection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingOwner, type CallingOwner, Clock, commitOrigin } from '@postern/service';

import { Connections } from './connections.ts';
import { Directory } from './directory.ts';

/** What every command of this app answers. */
export interface Outcome {
  readonly connection_id: string;
  readonly position: number;
  readonly freshness: ReturnType<typeof freshnessOf>;
}

/** A decision of the domain about the caller's connection. */
export type Decision = (state: Connection, requester: CallingOwner) => ConnectionEvent[];

/** Takes a command of a platform or an administrator to the log. */
@Injectable()
export class ConnectionCommands {
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #clock: Clock;

  constructor(connections: Connections, directory: Directory, clock: Clock) {
    this.#connections = connections;
    this.#directory = directory;
    this.#clock = clock;
  }

  /**
   * Decides on what the leader holds; a repeat appends nothing and answers the same.
   *
   * @effect appends at most one commit, durable when this resolves.
   * @throws {PosternError} `connection.not_found` also for another platform's; what the decision refuses
   */
  async decide(call: Call, connectionId: string, decision: Decision): Promise<Outcome> {
    const requester = callingOwner(call);
    await this.#directory.requireActive(requester);
    const { state, position } = await this.#connections.execute(
      { tenantId: requester.tenantId, id: connectionId },
      (current) => {
        requireOwnedBy(current, requester);
        return decision(current, requester);
      },
      { actor: requester.actor, ...commitOrigin(), fromLeader: true },
    );
    const freshness = freshnessOf(state, { nowMs: this.#clock.nowMs() });
    return { connection_id: connectionId, position, freshness };
  }
}
