import { Injectable } from '@nestjs/common';
import { operations } from '@postern/contracts';
import type { Registration } from '@postern/domain';
import { Clock, OperationsClient, ServiceKeys } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';

const { webhookSecretsCachedMs, webhookSecretsAgeMsMin, webhookSecretsCachedMax } = revocationLimits;

/** A webhook secret in use. */
export interface KnownSecret {
  readonly secret: Uint8Array;
  readonly version: number;
}

interface Cached {
  readonly secrets: readonly KnownSecret[];
  readonly fetchedAtMs: number;
}

/** The webhook secrets of registrations, from the vault, in memory for a minute. */
@Injectable()
export class WebhookSecrets {
  readonly #cached = new Map<string, Cached>();
  readonly #fetching = new Map<string, Promise<readonly KnownSecret[]>>();
  readonly #operations: OperationsClient;
  readonly #keys: ServiceKeys;
  readonly #clock: Clock;

  constructor(operationsClient: OperationsClient, keys: ServiceKeys, clock: Clock) {
    this.#operations = operationsClient;
    this.#keys = keys;
    this.#clock = clock;
  }

  /**
   * Those in use; none when the registration has none.
   *
   * @param refused nothing fitted those that were given: a new one may have been stored since, and is asked for unless
   *   that was done a moment ago.
   * @throws {PosternError} what the vault answers
   */
  async of(registration: Registration, refused?: readonly KnownSecret[]): Promise<readonly KnownSecret[]> {
    const { registrationId } = registration;
    const cached = this.#cached.get(registrationId);
    const ageMs = cached === undefined ? Infinity : this.#clock.monotonicMs() - cached.fetchedAtMs;
    const ageMsMax =
      refused !== undefined && refused === cached?.secrets ? webhookSecretsAgeMsMin : webhookSecretsCachedMs;
    if (cached !== undefined && ageMs < ageMsMax) return cached.secrets;
    const fetching =
      this.#fetching.get(registrationId) ??
      this.#fetch(registration).finally(() => this.#fetching.delete(registrationId));
    this.#fetching.set(registrationId, fetching);
    return await fetching;
  }

  async #fetch({ tenantId, registrationId }: Registration): Promise<readonly KnownSecret[]> {
    const fetchedAtMs = this.#clock.monotonicMs();
    const secrets = await this.#released({ tenant_id: tenantId, registration_id: registrationId });
    this.#cached.delete(registrationId);
    this.#cached.set(registrationId, { secrets, fetchedAtMs });
    const [eldest] = this.#cached.keys();
    if (this.#cached.size > webhookSecretsCachedMax && eldest !== undefined) this.#cached.delete(eldest);
    return secrets;
  }

  async #released(request: { tenant_id: string; registration_id: string }): Promise<readonly KnownSecret[]> {
    const as = { app: 'revocation' } as const;
    const { secrets } = await this.#operations.call(operations.releaseWebhookSecrets, as, request);
    return secrets.map(({ sealed_secret: sealed, secret_version: version }) => ({
      secret: this.#keys.openSecret(sealed, 'webhook secret'),
      version,
    }));
  }
}
