import { Injectable } from '@nestjs/common';
import { streams, subjects, timestampOf, type WebhookNotice } from '@postern/contracts';
import { recordWebhookGone, upcast, webhookEvolver, type Webhook, type WebhookEvent } from '@postern/domain';
import { CommitReader, Repository } from '@postern/event-log';
import { Bus, publishMessage } from '@postern/nats';
import { Clock, commitOrigin, EventLogs, Logger, outgoingHeaders, ServiceKeys } from '@postern/service';

/** Takes a webhook at its word that it is gone. */
@Injectable()
export class TakeLeave {
  readonly #logs: EventLogs;
  readonly #reader: CommitReader;
  readonly #keys: ServiceKeys;
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #logger: Logger;

  constructor(logs: EventLogs, reader: CommitReader, keys: ServiceKeys, bus: Bus, clock: Clock, logger: Logger) {
    this.#logs = logs;
    this.#reader = reader;
    this.#keys = keys;
    this.#bus = bus;
    this.#clock = clock;
    this.#logger = logger;
  }

  /**
   * Tells the tenant, then disables the webhook: a crash between the two tells it again under the same id, and never
   * leaves a webhook disabled of which nobody heard.
   *
   * @throws {PosternError} what the log says; the attempt is then repeated.
   */
  async of({ tenantId, webhookId }: Webhook, messageId: string): Promise<void> {
    const type = 'webhook.disabled';
    const notice: WebhookNotice = {
      id: `${webhookId}.${type}`,
      type,
      at: timestampOf(this.#clock.nowMs()),
      tenant_id: tenantId,
      webhook_id: webhookId,
      cause: 'http_410',
    };
    await publishMessage(this.#bus, {
      stream: streams.notifications.name,
      subject: subjects.notify({ tenantId, type }),
      payload: notice,
      messageId: notice.id,
      headers: outgoingHeaders(),
    });
    const origin = { actor: { type: 'service', id: 'notifier' } as const, ...commitOrigin() };
    await this.#repository().execute({ tenantId, id: webhookId }, (state) => recordWebhookGone({ messageId }, state), {
      ...origin,
      fromLeader: true,
    });
    this.#logger.warn('a webhook is gone and was disabled', { tenantId, webhookId });
  }

  #repository(): Repository<Webhook, WebhookEvent> {
    return new Repository({
      log: this.#logs.admin,
      evolver: webhookEvolver,
      reader: this.#reader,
      signer: this.#keys.signer,
      upcast,
      source: '/postern/notifier',
    });
  }
}
