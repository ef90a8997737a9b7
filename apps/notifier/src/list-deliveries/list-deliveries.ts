import { Injectable } from '@nestjs/common';
import { limits, operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import type { Call } from '@postern/nats';
import { callingApp, Serves } from '@postern/service';

import { Deliveries } from '../delivery-log/deliveries.ts';

/** Answers `webhooks.deliveries`. */
@Injectable()
export class ListDeliveries {
  constructor(private readonly deliveries: Deliveries) {}

  @Serves(operations.listDeliveries)
  async list(
    request: RequestOf<typeof operations.listDeliveries>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.listDeliveries>> {
    callingApp(call, ['administrator']);
    const { tenant_id: tenantId, webhook_id: webhookId, status = null, before = null } = request;
    const { limit = limits.listPageMax } = request;
    const query = { tenantId, webhookId, status, beforePosition: before, limit };
    const deliveries = await this.deliveries.list(query);
    return { deliveries, next: deliveries.length < limit ? null : (deliveries.at(-1)?.position ?? null) };
  }
}
