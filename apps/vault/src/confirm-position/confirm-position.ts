import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves, ServiceIdentity } from '@postern/service';

import { ConnectionFeed } from '../connection-feed.ts';
import { vaultLimits } from '../vault-limits.ts';

/** Answers a revocation once it is applied here: from then on this vault refuses. */
@Injectable()
export class ConfirmPosition {
  constructor(
    private readonly feed: ConnectionFeed,
    private readonly identity: ServiceIdentity,
  ) {}

  @Serves(operations.confirmPosition)
  async confirm(
    { position }: RequestOf<typeof operations.confirmPosition>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.confirmPosition>> {
    callingApp(call, ['revocation']);
    await this.feed.waitForPosition(position, vaultLimits.confirmWaitMs);
    return { instance: this.identity.instanceId, position: this.feed.position };
  }
}
