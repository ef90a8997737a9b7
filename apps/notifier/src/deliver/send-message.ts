import { Injectable } from '@nestjs/common';
import { timestampOf, type WebhookAttempt } from '@postern/contracts';
import type { Webhook } from '@postern/domain';
import {
  AddressGuard,
  addressesIn,
  callErrorReason,
  callErrorStatus,
  guardedFetch,
  type GuardedFetch,
} from '@postern/provider-client';
import { Clock, Metrics } from '@postern/service';

import { NotifierConfig } from '../notifier-config.ts';
import type { Message } from './messages.ts';
import { signMessage } from './sign-message.ts';

/** Sends a message to a webhook once, by the one guarded way out. */
@Injectable()
export class SendMessage {
  readonly #fetch: GuardedFetch;
  readonly #clock: Clock;
  readonly #metrics: Metrics;

  constructor({ allowedWebhookAddresses, webhookTimeoutMs }: NotifierConfig, clock: Clock, metrics: Metrics) {
    const addresses = new AddressGuard(addressesIn(allowedWebhookAddresses));
    this.#fetch = guardedFetch({
      addresses,
      // What is no public address is for the guard to say.
      allowLoopback: true,
      timeoutMs: webhookTimeoutMs,
      discardsBody: true,
    });
    this.#clock = clock;
    this.#metrics = metrics;
  }

  /** @effect The receiver may have it whatever comes back. @returns what came of it, never an exception for a receiver. */
  async send(webhook: Webhook, message: Message, secrets: readonly Uint8Array[]): Promise<WebhookAttempt> {
    const nowMs = this.#clock.nowMs();
    const startedMs = this.#clock.monotonicMs();
    const headers = {
      ...signMessage(message, { secrets, nowMs }),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(message.body)),
      'user-agent': 'Postern-Webhooks/1',
    };
    const answer = await this.#answer(webhook.url, { headers, body: message.body });
    const durationMs = Math.round(this.#clock.monotonicMs() - startedMs);
    this.#metrics.counter('postern.webhook.attempts').add(1, { outcome: answer.outcome });
    return { at: timestampOf(nowMs), duration_ms: durationMs, ...answer };
  }

  async #answer(
    url: string,
    { headers, body }: { headers: Record<string, string>; body: string },
  ): Promise<Pick<WebhookAttempt, 'outcome' | 'http_status'>> {
    try {
      const { status, ok } = await this.#fetch(url, { method: 'POST', headers, body });
      return { outcome: ok ? 'delivered' : `http_${status}`, http_status: status };
    } catch (error) {
      const reason = callErrorReason(error);
      if (reason === undefined) throw error;
      return { outcome: reason, http_status: callErrorStatus(error) };
    }
  }
}
