import { Injectable, type OnModuleInit } from '@nestjs/common';
import { limits } from '@postern/contracts';
import { RawRoutes } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';
import { WebhookIntake } from './webhook-intake.ts';

/** `POST /webhooks/{provider}/{registration_id}`. */
@Injectable()
export class WebhookRoute implements OnModuleInit {
  constructor(
    private readonly routes: RawRoutes,
    private readonly intake: WebhookIntake,
  ) {}

  onModuleInit(): void {
    const { webhookBodyTimeoutMs: timeoutMs, webhookUnfinishedBytesMax: unfinishedBytesMax } = revocationLimits;
    const bodyLimits = { bytesMax: limits.webhookBytesMax, timeoutMs, unfinishedBytesMax };
    this.routes.post('/webhooks/:provider/:registration', bodyLimits, {
      handle: (request) => this.intake.take(request),
      onUnread: ({ code }) => this.intake.count(code === 'request.too_large' ? 'too_large' : 'too_slow'),
    });
  }
}
