import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { DeliverMessages } from '../deliver/deliver-messages.ts';
import { Deliveries } from '../delivery-log/deliveries.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { Webhooks, type WebhookRef } from '../webhooks.ts';

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
    const { tenant_id: tenantId, webhook_id: webhookId, message_id: messageId, since, after } = request;
    if (messageId !== undefined && (since !== undefined || after !== undefined)) {
      throw new PosternError('request.malformed', 'A message is sent again by itself: leave out since and after.');
    }
    const ref = { tenantId, webhookId };
    await this.webhooks.require(ref);
    const done = messageId === undefined ? await this.#failed(ref, since, after) : await this.#one(ref, messageId);
    this.deliver.wake(ref);
    return done;
  }

  async #one(ref: WebhookRef, messageId: string): Promise<ReplyOf<typeof operations.redeliver>> {
    const isBegun = await this.deliveries.again(ref, messageId);
    if (!isBegun && !(await this.deliveries.has(ref, messageId))) {
      throw new PosternError('webhook.delivery_not_found', 'There is no such delivery of this webhook.');
    }
    return { redelivered: isBegun ? 1 : 0, next: null };
  }

  async #failed(ref: WebhookRef, since: string | undefined, after = 0): Promise<ReplyOf<typeof operations.redeliver>> {
    const sinceMs = since === undefined ? null : Date.parse(since);
    const limit = notifierLimits.redeliveredAtOnceMax;
    const begun = await this.deliveries.failedAgain({ ...ref, sinceMs, afterPosition: after, limit });
    return { redelivered: begun.length, next: begun.length < limit ? null : (begun.at(-1) ?? null) };
  }
}
