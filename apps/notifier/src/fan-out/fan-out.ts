import { Controller } from '@nestjs/common';
import { PosternError, subjects } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { Works } from '@postern/service';

import { DeliverMessages } from '../deliver/deliver-messages.ts';
import { messageIdOf, Told } from '../deliver/messages.ts';
import { Deliveries } from '../delivery-log/deliveries.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { Webhooks } from '../webhooks.ts';

/** Owes each notification to the webhooks of its tenant that ask for it, before it is acknowledged. */
@Controller()
export class FanOut {
  constructor(
    private readonly webhooks: Webhooks,
    private readonly deliveries: Deliveries,
    private readonly deliver: DeliverMessages,
  ) {}

  @Works('webhookFanOut', { concurrencyMax: notifierLimits.fanOutConcurrencyMax })
  async fanOut(payload: unknown, { subject, position }: WorkMessage): Promise<void> {
    const told = Told.safeParse(payload).data;
    // The subject is what the bus proved: a notification is owed to nobody but its own tenant.
    if (told === undefined || subject !== subjects.notify({ tenantId: told.tenant_id, type: told.type })) {
      throw new PosternError('log.message_damaged', 'What stands on NOTIFICATIONS is no notification of its subject.');
    }
    const { tenant_id: tenantId, type } = told;
    const ids = this.webhooks.listening(tenantId, type).map(({ webhookId }) => webhookId);
    if (ids.length === 0) return;
    await this.deliveries.owe(tenantId, ids, { position, messageId: messageIdOf(told), type });
    for (const webhookId of ids) this.deliver.wake({ tenantId, webhookId });
  }
}
