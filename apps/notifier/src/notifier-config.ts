import { brokenAddresses } from '@postern/provider-client';
import { defineConfig, duration, secretFile, text } from '@postern/service';

import { notifierLimits } from './notifier-limits.ts';

/** What `notifier` is told beside what every service is. */
export class NotifierConfig extends defineConfig(
  {
    /** `postgresql://…` of its own role. */
    databaseUrl: secretFile(),
    /** How long a webhook may take to answer. */
    webhookTimeoutMs: duration({ minMs: 100, maxMs: 60_000 }).default(notifierLimits.webhookTimeoutMs),
    /** Addresses and ranges that are no public ones and are delivered to all the same, separated by commas. */
    allowedWebhookAddresses: text().optional(),
    /** Where checkpoints of the log are dropped, for whoever takes them out of the house. */
    checkpointDir: text().optional(),
  },
  [
    {
      variable: 'POSTERN_ALLOWED_WEBHOOK_ADDRESSES',
      broken: ({ allowedWebhookAddresses }) => brokenAddresses(allowedWebhookAddresses),
    },
  ],
) {}
