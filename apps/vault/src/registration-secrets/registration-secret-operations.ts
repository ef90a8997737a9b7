import { Injectable } from '@nestjs/common';
import { operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { sealJwe, zero } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Serves, ServiceKeys, Trust } from '@postern/service';

import { Directory } from '../directory.ts';
import { openSealed } from '../sealed-token-set.ts';
import { ClientSecrets } from './client-secrets.ts';

const secretBytesMax = 4_096;

/** Takes a client secret from the administrator, and seals it to the app that must authenticate at the provider. */
@Injectable()
export class ClientSecretOperations {
  constructor(
    private readonly keys: ServiceKeys,
    private readonly trust: Trust,
    private readonly directory: Directory,
    private readonly secrets: ClientSecrets,
  ) {}

  @Serves(operations.storeClientSecret)
  async store(
    request: RequestOf<typeof operations.storeClientSecret>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.storeClientSecret>> {
    callingApp(call, ['administrator']);
    const registration = await this.directory.registration(request.tenant_id, request.registration_id);
    const secret = openSealed(this.keys.opener, request.sealed_secret, (plaintext) => Buffer.from(plaintext));
    try {
      if (secret.length === 0 || secret.length > secretBytesMax) {
        throw new PosternError('request.malformed', `A client secret has 1 to ${secretBytesMax} bytes.`);
      }
      return { secret_version: await this.secrets.insert(registration, secret) };
    } finally {
      zero(secret);
    }
  }

  @Serves(operations.releaseClientSecret)
  async release(
    request: RequestOf<typeof operations.releaseClientSecret>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.releaseClientSecret>> {
    const app = callingApp(call, ['authorization', 'refresh', 'revocation']);
    const recipient = this.trust.recipient(app);
    const { tenant_id: tenantId, registration_id: registrationId } = request;
    const registration = await this.directory.registration(tenantId, registrationId);
    // What was granted under a registration can still be revoked after its end.
    if (registration.disabled && app !== 'revocation') {
      throw new PosternError('registration.disabled', 'The client registration is disabled.');
    }
    const { secret, version } = await this.secrets.open(registration);
    try {
      const protectedHeader = { cty: 'text/plain', reg: registrationId, ver: version };
      return { sealed_secret: sealJwe({ recipient, plaintext: secret, protectedHeader }), secret_version: version };
    } finally {
      zero(secret);
    }
  }
}
