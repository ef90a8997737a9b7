import { z } from 'zod';

import { Actor } from './commit.ts';
import { ConnectionId, TenantId, WebhookId } from './ids.ts';
import { Scopes, Timestamp } from './wire.ts';

/** What platforms and people hear. Each type enters with the issue that sends it. */
export const notificationTypes = [
  'connection.authorized',
  'connection.reauthorization_required',
  'connection.revoked',
  'connection.deleted',
  'connection.health_changed',
  'connection.authorization_expiring',
  'connection.rotation_due',
  'lease.superseded',
  'scope.drift_detected',
] as const;
export const NotificationType = z.enum(notificationTypes);
export type NotificationType = z.infer<typeof NotificationType>;

/** A message on `notify.<tenant>.<type>`; the same one is never sent twice (`Nats-Msg-Id` is its `id`). */
export const Notification = z.object({
  id: z.string(),
  type: NotificationType,
  at: Timestamp,
  tenant_id: TenantId,
  platform_id: z.string(),
  connection_id: ConnectionId,
  health: z.string(),
  cause: z.string().nullable(),
  evidence: z.string().nullable(),
  reauthorize_url: z.string().nullable(),
  /** With `connection.health_changed`: when refreshing is tried next; absent when it works again. */
  next_attempt_at: Timestamp.optional(),
  /** With `connection.revoked`: who ended it and what was said, and the signal that proved it where one did. */
  revocation: z
    .object({
      by: Actor.shape.type,
      reason: z.string().nullable(),
      signal: z
        .object({
          source: z.string(),
          type: z.string(),
          occurred_at: Timestamp.nullable(),
          received_at: Timestamp,
        })
        .nullable(),
    })
    .optional(),
  /** With `scope.drift_detected`: what the connection may do now, and what changed. */
  scopes: z.object({ granted: Scopes, lost: Scopes, gained: Scopes }).optional(),
});
export type Notification = z.infer<typeof Notification>;

/** What is told of a tenant's own webhook, on `notify.<tenant>.webhook.disabled`: it is about no connection. */
export const WebhookNotice = z.object({
  id: z.string(),
  type: z.literal('webhook.disabled'),
  at: Timestamp,
  tenant_id: TenantId,
  webhook_id: WebhookId,
  /** What ended it, such as `http_410`. */
  cause: z.string(),
});
export type WebhookNotice = z.infer<typeof WebhookNotice>;

/** Every type of message on NOTIFICATIONS: what a webhook can ask for. */
export const deliveredTypes = [...notificationTypes, WebhookNotice.shape.type.value] as const;
export const DeliveredType = z.enum(deliveredTypes);
export type DeliveredType = z.infer<typeof DeliveredType>;
