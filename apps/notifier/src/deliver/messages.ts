import { Injectable } from '@nestjs/common';
import { PosternError, TenantId, Timestamp } from '@postern/contracts';
import { EventLogs } from '@postern/service';
import { z } from 'zod';

/** What every message on NOTIFICATIONS has. */
export const Told = z.looseObject({ id: z.string().max(200), type: z.string(), at: Timestamp, tenant_id: TenantId });
export type Told = z.infer<typeof Told>;

/** A message as it is sent: the same bytes under the same id in every attempt. */
export interface Message {
  readonly messageId: string;
  readonly body: string;
}

/**
 * The `webhook-id` of a notification. A full stop parts the id from the time in what is signed, so it holds none.
 *
 * @source Standard Webhooks, "Signature scheme"
 */
export function messageIdOf({ id }: Pick<Told, 'id'>): string {
  return id.replaceAll('.', '-');
}

/** @source Standard Webhooks, "Payload structure" */
export function messageOf(told: Told): Message {
  return { messageId: messageIdOf(told), body: JSON.stringify({ type: told.type, timestamp: told.at, data: told }) };
}

/** The messages that are sent, from NOTIFICATIONS: the log of deliveries holds none. */
@Injectable()
export class Messages {
  constructor(private readonly logs: EventLogs) {}

  /**
   * @returns undefined when NOTIFICATIONS does not hold it any more.
   * @throws {PosternError} `log.unavailable`; `log.message_damaged` for another tenant's, which nobody gets.
   */
  async at(position: number, tenantId: string): Promise<Message | undefined> {
    const stored = await this.logs.notifications.at(position);
    if (stored === undefined) return undefined;
    const told = Told.parse(JSON.parse(Buffer.from(stored.payload).toString('utf8')));
    if (told.tenant_id === tenantId) return messageOf(told);
    throw new PosternError('log.message_damaged', 'The notification is another tenant’s.');
  }
}
