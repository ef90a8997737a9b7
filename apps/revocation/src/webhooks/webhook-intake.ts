import { createHash } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { PosternError, type Signal } from '@postern/contracts';
import { verifyWebhook, type VerifiedWebhook, type WebhookDelivery } from '@postern/crypto';
import type { Registration } from '@postern/domain';
import {
  instantAt,
  readDelivery,
  withoutMembers,
  type Provider,
  type ProviderWebhook,
  type ReadDelivery,
} from '@postern/provider-catalog';
import { Clock, Logger, Metrics, type RawReply, type RawRequest } from '@postern/service';

import { ProviderFiles } from '../provider/provider-files.ts';
import { RevocationConfig } from '../revocation-config.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { parseBody } from './parse-body.ts';
import { Registrations } from '../registrations.ts';
import { SignalStore } from '../signals/signal-store.ts';
import { UnverifiedLimit } from './unverified-limit.ts';
import { WebhookSecrets, type KnownSecret } from './webhook-secrets.ts';

const { webhookAgeMsMax } = revocationLimits;
const deliveryIdForm = /^[A-Za-z0-9_-]{1,128}$/;
const accepted: RawReply = { status: 200 };

/** Whom a delivery is addressed to, if there is such a one. */
interface Addressee {
  readonly provider: Provider;
  readonly webhook: ProviderWebhook;
  readonly registration: Registration;
}

type Verified = VerifiedWebhook<KnownSecret>;

/** What becomes of a delivery between its arrival and the answer to it. */
@Injectable()
export class WebhookIntake {
  readonly #unverified = new UnverifiedLimit();

  constructor(
    private readonly config: RevocationConfig,
    private readonly registrations: Registrations,
    private readonly files: ProviderFiles,
    private readonly secrets: WebhookSecrets,
    private readonly store: SignalStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly metrics: Metrics,
  ) {}

  /**
   * Answers only when what was said is stored. Before the signature was found right nothing else is looked at, so that
   * a stranger learns nothing but that it is wrong.
   *
   * @throws {PosternError} `signal.not_verified`; for verified ones `request.*`, and what makes the sender come again
   */
  async take(request: RawRequest): Promise<RawReply> {
    const { provider: providerId = '', registration: registrationId = '' } = request.parameters;
    const addressee = await this.#addressee(providerId, registrationId);
    const verified = await this.#verified(addressee, request);
    if (addressee === undefined || verified === undefined) throw this.#refused(`${providerId}/${registrationId}`);
    return await this.#takeVerified(addressee, verified, request);
  }

  /** Counts what was refused before anything was known of it. */
  count(outcome: string, providerId = 'unknown'): void {
    this.metrics.counter('postern.webhooks').add(1, { provider: providerId, outcome });
  }

  async #addressee(providerId: string, registrationId: string): Promise<Addressee | undefined> {
    const registration = await this.registrations.find(registrationId);
    if (registration?.providerId !== providerId) return undefined;
    const provider = this.files.ofRegistration(registration);
    if (provider === undefined || provider.webhook === null) return undefined;
    return { provider, webhook: provider.webhook, registration };
  }

  /** Whoever stored a new secret a moment ago need not wait for what is in memory to grow old. */
  async #verified(addressee: Addressee | undefined, request: RawRequest): Promise<Verified | undefined> {
    if (addressee === undefined) return this.#verify(request, 'standard_webhooks', []);
    const { scheme } = addressee.webhook;
    const secrets = await this.secrets.of(addressee.registration);
    const verified = this.#verify(request, scheme, secrets);
    if (verified !== undefined) return verified;
    const newer = await this.secrets.of(addressee.registration, secrets);
    return newer === secrets ? undefined : this.#verify(request, scheme, newer);
  }

  #verify(
    { method, target, headers, body }: RawRequest,
    ...[scheme, secrets]: [ProviderWebhook['scheme'], readonly KnownSecret[]]
  ): Verified | undefined {
    const delivery: WebhookDelivery = { method, url: `${this.config.publicUrl}${target}`, headers, body };
    return verifyWebhook({ scheme, delivery, secrets, nowMs: this.clock.nowMs(), ageMsMax: webhookAgeMsMax });
  }

  #refused(path: string): PosternError {
    const within = this.#unverified.take(path, this.clock.monotonicMs());
    this.count(within ? 'not_verified' : 'rate_limited');
    if (!within) return new PosternError('request.rate_limited', 'Too many deliveries that are not verified.');
    return new PosternError('signal.not_verified', 'The delivery is not verified.');
  }

  async #takeVerified(addressee: Addressee, verified: Verified, request: RawRequest): Promise<RawReply> {
    const { provider, webhook } = addressee;
    const body = this.#parsed(provider.id, request);
    if (this.#isStale(webhook, body)) throw this.#refused(`${provider.id}/${addressee.registration.registrationId}`);
    const read = readDelivery(webhook, { body, headers: request.headers });
    if (read.kind === 'handshake') {
      this.count('handshake', provider.id);
      return { status: 200, contentType: 'text/plain; charset=utf-8', body: read.answer };
    }
    if (read.kind === 'other') {
      this.count('ignored', provider.id);
      return accepted;
    }
    const signal = this.#signalOf({ addressee, verified, request, body, read });
    const outcome = await this.#stored(signal);
    this.count(outcome, provider.id);
    return accepted;
  }

  #parsed(providerId: string, { body, headers }: RawRequest): unknown {
    try {
      return parseBody(body, headers['content-type']);
    } catch (error) {
      this.count('malformed', providerId);
      throw error;
    }
  }

  #isStale({ sentAt }: ProviderWebhook, body: unknown): boolean {
    if (sentAt === null) return false;
    const sentAtMs = instantAt(sentAt, body);
    return sentAtMs === null || Math.abs(this.clock.nowMs() - sentAtMs) > webhookAgeMsMax;
  }

  async #stored(signal: Signal): Promise<'stored' | 'repeated'> {
    const { source, registrationId, deliveryId, type } = signal;
    try {
      const outcome = await this.store.store(signal);
      this.logger.info('a signal was taken in', { source, registrationId, deliveryId, type, outcome });
      return outcome;
    } catch (error) {
      this.count('not_stored', source);
      throw error;
    }
  }

  #signalOf(taken: {
    readonly addressee: Addressee;
    readonly verified: Verified;
    readonly request: RawRequest;
    readonly body: unknown;
    readonly read: Extract<ReadDelivery, { kind: 'event' }>;
  }): Signal {
    const { addressee, verified, request, body, read } = taken;
    const { provider, webhook, registration } = addressee;
    return {
      version: 1,
      source: provider.id,
      tenantId: registration.tenantId,
      registrationId: registration.registrationId,
      deliveryId: deliveryIdOf(read.deliveryId, request.body),
      type: read.event.type,
      receivedAtMs: this.clock.nowMs(),
      verified: { scheme: webhook.scheme, secretVersion: verified.by.version },
      body: withoutMembers(body, webhook.secretMembers),
    };
  }
}

/**
 * The sender's own id where it is signed. An id that is not signed can be made anew for an old body, so that the body's
 * digest is the better one.
 */
function deliveryIdOf(signedId: string | null, raw: Uint8Array): string {
  if (signedId !== null && deliveryIdForm.test(signedId)) return signedId;
  return createHash('sha256').update(raw).digest('base64url');
}
