import { Injectable } from '@nestjs/common';
import { newId, operations, timestampOf, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves } from '@postern/service';

import { messageOf } from '../deliver/messages.ts';
import { SendMessage } from '../deliver/send-message.ts';
import { SigningSecrets } from '../deliver/signing-secrets.ts';
import { Webhooks } from '../webhooks.ts';

/** Answers `webhooks.test`. */
@Injectable()
export class TestWebhook {
  constructor(
    private readonly webhooks: Webhooks,
    private readonly secrets: SigningSecrets,
    private readonly sender: SendMessage,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.testWebhook)
  async test(
    { tenant_id: tenantId, webhook_id: webhookId }: RequestOf<typeof operations.testWebhook>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.testWebhook>> {
    callingApp(call, ['administrator']);
    const webhook = await this.webhooks.require({ tenantId, webhookId });
    const told = {
      id: newId('correlation'),
      type: 'webhook.test',
      at: timestampOf(this.clock.nowMs()),
      tenant_id: tenantId,
      webhook_id: webhookId,
    };
    return await this.sender.send(webhook, messageOf(told), await this.secrets.of(webhook));
  }
}
