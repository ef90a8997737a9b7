import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { resumeConnection, suspendConnection } from '@postern/domain';
import type { Call } from '@postern/nats';
import { Serves } from '@postern/service';

import { Confirmation } from '../confirmation/confirmation.ts';
import { ConnectionCommands } from '../connection-commands.ts';

/** Answers `connections.suspend` and `connections.resume`. */
@Injectable()
export class SuspendConnection {
  constructor(
    private readonly commands: ConnectionCommands,
    private readonly confirmation: Confirmation,
  ) {}

  @Serves(operations.suspendConnection)
  async suspend(
    { connection_id: connectionId, reason }: RequestOf<typeof operations.suspendConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.suspendConnection>> {
    const outcome = await this.commands.decide(call, connectionId, (state) =>
      suspendConnection({ reason: reason ?? null }, state),
    );
    await this.confirmation.everywhere(outcome.position);
    return outcome;
  }

  /** Nothing is confirmed: a vault that has not heard of it yet refuses a moment longer, which harms nobody. */
  @Serves(operations.resumeConnection)
  async resume(
    { connection_id: connectionId, reason }: RequestOf<typeof operations.resumeConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.resumeConnection>> {
    return await this.commands.decide(call, connectionId, (state) =>
      resumeConnection({ reason: reason ?? null }, state),
    );
  }
}
