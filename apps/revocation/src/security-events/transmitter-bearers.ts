import { Injectable } from '@nestjs/common';
import type { SpokenFor } from '@postern/domain';

import { Registrations } from '../registrations.ts';
import { WebhookSecrets } from '../webhooks/webhook-secrets.ts';

/** The tokens with which transmitters let us in: each is kept as the webhook secret of a registration. */
@Injectable()
export class TransmitterBearers {
  constructor(
    private readonly registrations: Registrations,
    private readonly secrets: WebhookSecrets,
  ) {}

  /**
   * Those in use, the newest first; null where none is wanted.
   *
   * @throws {PosternError} what the vault answers
   */
  async of(bearerOf: SpokenFor | null): Promise<(string | null)[]> {
    if (bearerOf === null) return [null];
    const registration = await this.registrations.find(bearerOf.registrationId);
    if (registration?.tenantId !== bearerOf.tenantId) return [];
    const secrets = await this.secrets.of(registration);
    return secrets.map(({ secret }) => Buffer.from(secret).toString('utf8').trim());
  }
}
