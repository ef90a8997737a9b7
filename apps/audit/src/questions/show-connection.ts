import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingOwner, Serves } from '@postern/service';

import { ConnectionLog } from '../connection-log.ts';

/** Answers `connections.show`. */
@Injectable()
export class ShowConnection {
  constructor(private readonly log: ConnectionLog) {}

  @Serves(operations.showConnection)
  async show(
    request: RequestOf<typeof operations.showConnection>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.showConnection>> {
    return await this.log.view(await this.log.load(callingOwner(call), request.connection_id));
  }
}
