import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import { webhookSecretsInUse, type Webhook } from '@postern/domain';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, ServiceKeys, Trust } from '@postern/service';

import { Directory } from '../directory.ts';
import { OwnedSecrets, type SecretPlace } from '../owned-secrets.ts';
import { openSealed } from '../sealed-token-set.ts';

/** HMAC keys: what is shorter could be guessed, what is longer gains nothing. @source Standard Webhooks, "Signature scheme" */
const secretBytesMin = 24;
const secretBytesMax = 64;

/** Whose data key and additional data: a webhook stands in the place of a provider itself. */
export function webhookOwner({ tenantId, webhookId }: Webhook): Omit<SecretPlace, 'kind'> {
  return { tenantId, providerId: webhookId, ownerId: webhookId };
}

/** Takes what deliveries to a tenant's webhook are signed with from the administrator, and seals it to `notifier`. */
@Injectable()
export class EndpointSecretOperations {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly directory: Directory,
    private readonly secrets: OwnedSecrets,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.storeEndpointSecret)
  async store(
    request: RequestOf<typeof operations.storeEndpointSecret>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.storeEndpointSecret>> {
    callingApp(call, ['administrator']);
    const webhook = await this.#enabled(request);
    const secret = openSealed(this.keys.opener, request.sealed_secret, (plaintext) => Buffer.from(plaintext));
    try {
      if (secret.length < secretBytesMin || secret.length > secretBytesMax) {
        throw new PosternError('request.malformed', `A secret has ${secretBytesMin} to ${secretBytesMax} bytes.`);
      }
      return { secret_version: await this.secrets.insertNext(placeOf(webhook), secret) };
    } finally {
      zero(secret);
    }
  }

  @Serves(operations.releaseEndpointSecrets)
  async release(
    request: RequestOf<typeof operations.releaseEndpointSecrets>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.releaseEndpointSecrets>> {
    const recipient = this.trust.recipient(callingApp(call, ['notifier']));
    const webhook = await this.#enabled(request);
    const secrets: ReplyOf<typeof operations.releaseEndpointSecrets>['secrets'] = [];
    for (const { version } of webhookSecretsInUse(webhook, this.clock.nowMs())) {
      const plaintext = await this.secrets.open(placeOf(webhook), version);
      try {
        const protectedHeader = { cty: 'application/octet-stream', whk: webhook.webhookId, ver: version };
        secrets.push({ sealed_secret: sealJwe({ recipient, plaintext, protectedHeader }), secret_version: version });
      } finally {
        zero(plaintext);
      }
    }
    return { secrets };
  }

  @Serves(operations.deleteEndedEndpointSecrets)
  async deleteEnded(
    request: RequestOf<typeof operations.deleteEndedEndpointSecrets>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.deleteEndedEndpointSecrets>> {
    callingApp(call, ['administrator']);
    const webhook = await this.directory.webhook(request.tenant_id, request.webhook_id);
    const newest = webhook.secrets[0]?.version ?? 0;
    const but = webhookSecretsInUse(webhook, this.clock.nowMs()).map(({ version }) => version);
    const ended = webhook.disabled ? { than: newest + 1, but: [] } : { than: newest, but };
    return { deleted: await this.secrets.removeOlder(placeOf(webhook), ended) };
  }

  async #enabled({ tenant_id: tenantId, webhook_id: webhookId }: { tenant_id: string; webhook_id: string }) {
    const webhook = await this.directory.webhook(tenantId, webhookId);
    if (webhook.disabled) throw new PosternError('webhook.disabled', 'The webhook is disabled.');
    return webhook;
  }
}

function placeOf(webhook: Webhook): SecretPlace {
  return { ...webhookOwner(webhook), kind: 'endpoint_secret' };
}
