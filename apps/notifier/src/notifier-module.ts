import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { DropCheckpoints } from './checkpoints/drop-checkpoints.ts';
import { DeliverMessages } from './deliver/deliver-messages.ts';
import { Messages } from './deliver/messages.ts';
import { SendMessage } from './deliver/send-message.ts';
import { SigningSecrets } from './deliver/signing-secrets.ts';
import { TakeLeave } from './deliver/take-leave.ts';
import { Deliveries } from './delivery-log/deliveries.ts';
import { NotifierDatabase } from './delivery-log/notifier-database.ts';
import { FanOut } from './fan-out/fan-out.ts';
import { ListDeliveries } from './list-deliveries/list-deliveries.ts';
import { NotifierConfig } from './notifier-config.ts';
import { Redeliver } from './redeliver/redeliver.ts';
import { TestWebhook } from './test-webhook/test-webhook.ts';
import { Webhooks } from './webhooks.ts';
import { FeedWitnesses } from './witnesses/feed-witnesses.ts';

@Module({
  controllers: [FanOut],
  providers: [
    NotifierDatabase,
    Deliveries,
    Webhooks,
    SigningSecrets,
    Messages,
    SendMessage,
    TakeLeave,
    DeliverMessages,
    TestWebhook,
    ListDeliveries,
    Redeliver,
    DropCheckpoints,
    FeedWitnesses,
  ],
})
export class NotifierModule {}

/** `postern serve notifier`. */
export const notifierService: ServiceDefinition = { app: 'notifier', module: NotifierModule, config: NotifierConfig };
