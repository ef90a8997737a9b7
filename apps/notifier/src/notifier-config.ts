import { brokenAddresses } from '@postern/provider-client';
import { defineConfig, duration, integer, secretFile, text } from '@postern/service';

import { notifierLimits } from './notifier-limits.ts';
import { witnessesIn } from './witnesses/witness-list.ts';

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
    /** Who is shown each checkpoint, to cosign it: `<verifier key> <URL>`, separated by commas. */
    witnesses: text().optional(),
    /** How many of them must have cosigned a checkpoint before it is kept as cosigned; all when absent. */
    witnessQuorum: integer({ min: 1, max: 100 }).optional(),
  },
  [
    {
      variable: 'POSTERN_ALLOWED_WEBHOOK_ADDRESSES',
      broken: ({ allowedWebhookAddresses }) => brokenAddresses(allowedWebhookAddresses),
    },
    {
      variable: 'POSTERN_WITNESSES',
      broken: ({ witnesses, checkpointDir }) => {
        try {
          const some = witnessesIn(witnesses).length > 0;
          return some && checkpointDir === undefined ? 'needs POSTERN_CHECKPOINT_DIR, where it is kept' : undefined;
        } catch (error) {
          return `is no list of witnesses: ${(error as Error).message}`;
        }
      },
    },
    {
      variable: 'POSTERN_WITNESS_QUORUM',
      broken: ({ witnesses, witnessQuorum = 0 }) => {
        try {
          const count = witnessesIn(witnesses).length;
          return witnessQuorum > count ? `is more than the ${count} witnesses there are` : undefined;
        } catch {
          return undefined;
        }
      },
    },
  ],
) {}
