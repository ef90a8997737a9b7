import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { DeliverMessages } from '../deliver/deliver-messages.ts';
import { Deliveries } from '../delivery-log/deliveries.ts';
import { Webhooks } from '../webhooks.ts';

/** Answers `webhooks.redeliver`. */
@Injectable()
export class Redeliver {
  constructor(
    private readonly webhooks: Webhooks,
    private readonly deliveries: Deliveries,
    private readonly deliver: DeliverMessages,
  ) {}

  @Serves(operations.redeliver)
  async redeliver(
    request: RequestOf<typeof operations.redeliver>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.redeliver>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, webhook_id: webhookId, message_id: messageId } = request;
    const ref = { tenantId, webhookId };
    await this.webhooks.require(ref);
    const redelivered = await this.deliveries.again(ref, messageId);
    if (redelivered === 0 && messageId !== undefined && !(await this.deliveries.has(ref, messageId))) {
      throw new PosternError('webhook.delivery_not_found', 'There is no such delivery of this webhook.');
    }
    this.deliver.wake(ref);
    return { redelivered };
  }
}
