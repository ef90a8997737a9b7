import { Injectable } from '@nestjs/common';
import { operations, PosternError } from '@postern/contracts';
import { webhookSecretsInUse, type Webhook } from '@postern/domain';
import { Clock, OperationsClient, ServiceKeys } from '@postern/service';

import { notifierLimits } from '../notifier-limits.ts';

interface Cached {
  readonly secrets: ReadonlyMap<number, Uint8Array>;
  readonly fetchedAtMs: number;
}

/** What deliveries are signed with, from the vault, in memory for a minute. */
@Injectable()
export class SigningSecrets {
  readonly #cached = new Map<string, Cached>();
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;
  readonly #clock: Clock;

  constructor(operationsClient: OperationsClient, keys: ServiceKeys, clock: Clock) {
    this.#operations = operationsClient;
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * Those in use now, the newest first: what the log names counts, whatever is in memory.
   *
   * @throws {PosternError} `webhook.no_secret`, what the vault answers
   */
  async of(webhook: Webhook): Promise<Uint8Array[]> {
    const versions = webhookSecretsInUse(webhook, this.#clock.nowMs()).map(({ version }) => version);
    const known = this.#known(webhook.webhookId);
    const secrets =
      known !== undefined && versions.every((version) => known.has(version)) ? known : await this.#fetch(webhook);
    const inUse = versions.map((version) => secrets.get(version)).filter((secret) => secret !== undefined);
    if (inUse.length > 0) return inUse;
    throw new PosternError('webhook.no_secret', 'The webhook has no secret to sign with.');
  }

  #known(webhookId: string): Cached['secrets'] | undefined {
    const cached = this.#cached.get(webhookId);
    const isYoung =
      cached !== undefined && this.#clock.monotonicMs() - cached.fetchedAtMs < notifierLimits.secretsCachedMs;
    return isYoung ? cached.secrets : undefined;
  }

  async #fetch({ tenantId, webhookId }: Webhook): Promise<Cached['secrets']> {
    const fetchedAtMs = this.#clock.monotonicMs();
    const request = { tenant_id: tenantId, webhook_id: webhookId };
    const { secrets } = await this.#operations.call(operations.releaseEndpointSecrets, { app: 'notifier' }, request);
    const opened = new Map(
      secrets.map(({ sealed_secret: sealed, secret_version: version }) => [
        version,
        this.#keys.openSecret(sealed, 'signing secret'),
      ]),
    );
    this.#cached.delete(webhookId);
    this.#cached.set(webhookId, { secrets: opened, fetchedAtMs });
    const [eldest] = this.#cached.keys();
    if (this.#cached.size > notifierLimits.secretsCachedMax && eldest !== undefined) this.#cached.delete(eldest);
    return opened;
  }
}
