import { z } from 'zod';

import { Timestamp } from './wire.ts';

/** `dead`: it was tried for a day, or nobody is there to take it; it can be sent again by hand. */
export const WebhookDeliveryStatus = z.enum(['pending', 'delivered', 'dead']);
export type WebhookDeliveryStatus = z.infer<typeof WebhookDeliveryStatus>;

/** What came of sending a message once; never what was in it, nor in the answer. */
export const WebhookAttempt = z.object({
  at: Timestamp,
  /** `delivered`, `http_<status>`, or why there was no answer, such as `timeout`, `unreachable`, `address_refused`. */
  outcome: z.string().max(64),
  http_status: z.number().int().nullable(),
  duration_ms: z.number().int().nonnegative(),
});
export type WebhookAttempt = z.infer<typeof WebhookAttempt>;

/** One message for one webhook. */
export const WebhookDelivery = z.object({
  /** As `webhook-id` names it, in every attempt. */
  message_id: z.string(),
  /** Of the notification on NOTIFICATIONS. */
  position: z.number().int().positive(),
  type: z.string(),
  status: WebhookDeliveryStatus,
  attempts: z.array(WebhookAttempt),
  created_at: Timestamp,
  next_attempt_at: Timestamp.nullable(),
});
export type WebhookDelivery = z.infer<typeof WebhookDelivery>;
