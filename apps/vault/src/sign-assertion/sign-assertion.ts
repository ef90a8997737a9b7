import { Injectable } from '@nestjs/common';
import {
  limits,
  operations,
  PosternError,
  registrationSecretRights,
  type ReplyOf,
  type RequestOf,
} from '@postern/contracts';
import { jwtSigner, randomToken, sealJwe, zero } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves, Trust } from '@postern/service';

import { Directory } from '../directory.ts';
import { RegistrationSecrets } from '../registration-secrets/registration-secrets.ts';

/**
 * Signs what authenticates a client at its provider, so that the private key stays here.
 *
 * The caller names a registration and nothing else: every claim comes from the log, where an administrator signed it.
 * Whoever owned a caller could otherwise have an assertion made out to another authorization server, or for another
 * client.
 *
 * @source RFC 7523 §2.2, §3
 */
@Injectable()
export class SignAssertion {
  constructor(
    private readonly trust: Trust,
    private readonly directory: Directory,
    private readonly secrets: RegistrationSecrets,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.signAssertion)
  async sign(
    request: RequestOf<typeof operations.signAssertion>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.signAssertion>> {
    const app = callingApp(call, registrationSecretRights.private_key.signsFor);
    const recipient = this.trust.recipient(app);
    const { tenant_id: tenantId, registration_id: registrationId, refused_version: refusedVersion } = request;
    const registration = await this.directory.registrationFor(app, { tenantId, registrationId });
    const { clientId, assertionAudience: aud, tokenEndpointAuthMethod } = registration;
    // An audience alone may be there for signed authorization requests.
    if (aud === null || tokenEndpointAuthMethod !== 'private_key_jwt')
      throw new PosternError('vault.credential_missing', 'The registration signs no assertions.');
    const { secret, version } = await this.secrets.open(registration, { kind: 'private_key', refusedVersion });
    try {
      const { publicJwk, sign } = jwtSigner(secret);
      const iat = Math.floor(this.clock.nowMs() / 1000);
      const claims = { iss: clientId, sub: clientId, aud, jti: randomToken(), iat, exp: iat + limits.assertionTtlS };
      const plaintext = Buffer.from(sign({ header: { kid: publicJwk.kid }, claims }), 'ascii');
      const protectedHeader = { cty: 'JWT', reg: registrationId, ver: version };
      return { sealed_assertion: sealJwe({ recipient, plaintext, protectedHeader }), secret_version: version };
    } finally {
      zero(secret);
    }
  }
}
