import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { isPosternError, timestampOf, type WebhookAttempt } from '@postern/contracts';
import { Clock, Logger, Metrics, type Counter, type OnServiceReady } from '@postern/service';

import { Deliveries, type ClaimedDelivery, type Fate } from '../delivery-log/deliveries.ts';
import { NotifierConfig } from '../notifier-config.ts';
import { notifierLimits } from '../notifier-limits.ts';
import { Webhooks, type WebhookRef } from '../webhooks.ts';
import { Lane } from './lane.ts';
import { Messages } from './messages.ts';
import { retryDelayMs } from './retry-schedule.ts';
import { Seats } from './seats.ts';
import { SendMessage } from './send-message.ts';
import { SigningSecrets } from './signing-secrets.ts';
import { TakeLeave } from './take-leave.ts';

const { inFlightMax, inFlightFailingMax, sweepIntervalMs, cleanIntervalMs, settledKeptMs, postponeMs } = notifierLimits;
const gone = 410;

/**
 * Sends what is owed, each webhook in a lane of its own: how one answers, or does not, is nothing to the others.
 *
 * What is owed, and when it is due, stands in the log of deliveries. Memory only knows which lane to wake when; what it
 * forgot, or another process left behind, is found by the sweep.
 */
@Injectable()
export class DeliverMessages implements OnServiceReady, OnApplicationShutdown {
  readonly #lanes = new Map<string, Lane>();
  readonly #seats = { answering: new Seats(inFlightMax), failing: new Seats(inFlightFailingMax) };
  readonly #claimMs: number;
  readonly #dead: Counter;
  #sweep: NodeJS.Timeout | undefined;
  #sweeping: Promise<void> | undefined;
  #cleanedAtMs = -Infinity;
  #stopped = false;

  constructor(
    config: NotifierConfig,
    private readonly webhooks: Webhooks,
    private readonly deliveries: Deliveries,
    private readonly messages: Messages,
    private readonly secrets: SigningSecrets,
    private readonly sender: SendMessage,
    private readonly leave: TakeLeave,
    private readonly clock: Clock,
    private readonly logger: Logger,
    metrics: Metrics,
  ) {
    this.#dead = metrics.counter('postern.webhook.dead');
    // Told from the first moment on, or the first one would be no increase.
    this.#dead.add(0);
    this.#claimMs = config.webhookTimeoutMs * notifierLimits.claimTimeouts;
  }

  async onServiceReady(): Promise<void> {
    await this.webhooks.onServiceReady();
    this.#begin();
  }

  async onApplicationShutdown(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#sweep);
    await this.#sweeping;
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
  }

  /** Something is due for this webhook, now or then. */
  wake(ref: WebhookRef, atMs = this.clock.nowMs()): void {
    if (this.#stopped) return;
    const lane = this.#lanes.get(ref.webhookId) ?? this.#newLane(ref);
    lane.wake(Math.max(0, atMs - this.clock.nowMs()));
  }

  #newLane(ref: WebhookRef): Lane {
    const lane = new Lane({
      next: () => this.#claim(ref),
      deliver: (claimed) => this.#deliver(claimed),
      seats: this.#seats,
      onError: (error) => {
        this.logger.error('what is owed to a webhook cannot be looked up', { ...ref, err: error });
        this.wake(ref, this.clock.nowMs() + postponeMs);
      },
    });
    this.#lanes.set(ref.webhookId, lane);
    return lane;
  }

  async #claim(ref: WebhookRef): Promise<ClaimedDelivery | undefined> {
    if (this.webhooks.active(ref) !== undefined) return await this.deliveries.claim(ref, this.#claimMs);
    const count = await this.deliveries.giveUp(ref);
    if (count > 0) this.logger.warn('what was owed to a disabled webhook was given up', { ...ref, count });
    return undefined;
  }

  /** @returns whether the webhook took it; undefined when that was not asked. Never rejects. */
  async #deliver(claimed: ClaimedDelivery): Promise<boolean | undefined> {
    const { tenantId, webhookId, messageId } = claimed;
    const about = { tenantId, webhookId, messageId };
    try {
      return await this.#attempt(claimed);
    } catch (error) {
      const code = isPosternError(error) ? error.code : 'service.internal';
      this.logger.warn('a message could not be sent to a webhook, which is not its fault', {
        ...about,
        code,
        err: error,
      });
      await this.deliveries.postpone(claimed, postponeMs).catch((failed: unknown) => {
        this.logger.error('a delivery could not be put back: it comes back after its claim', { ...about, err: failed });
      });
      this.wake(claimed, this.clock.nowMs() + postponeMs);
      return undefined;
    }
  }

  async #attempt(claimed: ClaimedDelivery): Promise<boolean | undefined> {
    const webhook = this.webhooks.active(claimed);
    const message = await this.messages.at(claimed.position, claimed.tenantId);
    if (webhook === undefined || message === undefined) {
      const outcome = webhook === undefined ? 'disabled' : 'expired';
      const attempt = { at: timestampOf(this.clock.nowMs()), outcome, http_status: null, duration_ms: 0 };
      await this.#settle(claimed, attempt, { status: 'dead' });
      return undefined;
    }
    const attempt = await this.sender.send(webhook, message, await this.secrets.of(webhook));
    if (attempt.http_status === gone) await this.leave.of(webhook, claimed.messageId);
    await this.#settle(claimed, attempt, this.#fateOf(claimed, attempt));
    return attempt.outcome === 'delivered';
  }

  #fateOf({ tries }: ClaimedDelivery, { outcome, http_status: httpStatus }: WebhookAttempt): Fate {
    if (outcome === 'delivered') return { status: 'delivered' };
    const delayMs = httpStatus === gone ? undefined : retryDelayMs(tries, this.clock.random());
    if (delayMs === undefined) return { status: 'dead' };
    return { status: 'pending', nextAttemptAtMs: this.clock.nowMs() + delayMs };
  }

  async #settle(claimed: ClaimedDelivery, attempt: WebhookAttempt, fate: Fate): Promise<void> {
    await this.deliveries.settle(claimed, attempt, fate);
    const { tenantId, webhookId, messageId, type } = claimed;
    const said = { tenantId, webhookId, messageId, type, outcome: attempt.outcome, attempt: claimed.attempt };
    if (fate.status === 'dead') {
      this.logger.error('a message for a webhook was given up', said);
      // One that left, or was disabled, wants nothing any more.
      if (attempt.http_status !== gone && attempt.outcome !== 'disabled') this.#dead.add(1);
    } else
      this.logger.info(
        fate.status === 'pending' ? 'a webhook did not take a message' : 'a webhook took a message',
        said,
      );
    if (fate.status === 'pending') this.wake(claimed, fate.nextAttemptAtMs);
  }

  #begin(): void {
    this.#sweeping = this.#all().finally(() => {
      if (!this.#stopped) this.#sweep = setTimeout(() => this.#begin(), sweepIntervalMs);
    });
  }

  /** Never rejects. */
  async #all(): Promise<void> {
    const isCleaning = this.clock.monotonicMs() - this.#cleanedAtMs > cleanIntervalMs;
    if (isCleaning) this.#cleanedAtMs = this.clock.monotonicMs();
    for (const tenantId of this.webhooks.tenantIds()) {
      if (this.#stopped) return;
      try {
        for (const { webhookId, atMs } of await this.deliveries.due(tenantId)) this.wake({ tenantId, webhookId }, atMs);
        if (isCleaning) await this.deliveries.clean(tenantId, this.clock.nowMs() - settledKeptMs);
      } catch (error) {
        this.logger.error('what is owed to webhooks cannot be looked up', { tenantId, err: error });
      }
    }
  }
}
