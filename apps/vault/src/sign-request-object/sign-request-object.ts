import { Injectable } from '@nestjs/common';
import { limits, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { jwtSigner, randomToken, zero } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves } from '@postern/service';

import { Directory } from '../directory.ts';
import { RegistrationSecrets } from '../registration-secrets/registration-secrets.ts';

/** What says who signs, for whom and until when; and what has no place in a request object. @source RFC 9101 §4 */
const ours = new Set([
  ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'cnf', 'request', 'request_uri'],
  ...['client_secret', 'client_assertion', 'client_assertion_type'],
]);

/**
 * Signs authorization requests of registrations whose requests are signed.
 *
 * What is signed for a client authenticates nobody: it has a type of its own and no `sub`, so that it is no client assertion,
 * and it is made out to the authorization server that the log names.
 *
 * @source RFC 9101 §4, §10.8, RFC 8725 §3.11
 */
@Injectable()
export class SignRequestObject {
  constructor(
    private readonly directory: Directory,
    private readonly secrets: RegistrationSecrets,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.signRequestObject)
  async sign(
    request: RequestOf<typeof operations.signRequestObject>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.signRequestObject>> {
    const app = callingApp(call, ['authorization']);
    const { tenant_id: tenantId, registration_id: registrationId, parameters } = request;
    const registration = await this.directory.registrationFor(app, { tenantId, registrationId });
    const { clientId, assertionAudience: aud, requireSignedRequestObject } = registration;
    if (aud === null || requireSignedRequestObject !== true) {
      throw new PosternError('vault.credential_missing', 'The registration signs no authorization requests.');
    }
    const foreign = Object.keys(parameters).find((name) => ours.has(name));
    if (foreign !== undefined || parameters['client_id'] !== clientId) {
      const reason = foreign === undefined ? 'is for another client' : `says ${foreign} itself`;
      throw new PosternError('request.malformed', `The authorization request ${reason}.`);
    }
    const { secret } = await this.secrets.open(registration, { kind: 'private_key' });
    try {
      const { publicJwk, sign } = jwtSigner(secret);
      const iat = Math.floor(this.clock.nowMs() / 1000);
      const times = { iat, nbf: iat, exp: iat + limits.requestObjectTtlS };
      const claims = { ...asClaims(parameters), iss: clientId, aud, jti: randomToken(), ...times };
      const header = { typ: 'oauth-authz-req+jwt', kid: publicJwk.kid };
      return { request_object: sign({ header, claims }) };
    } finally {
      zero(secret);
    }
  }
}

const jsonParameters: ReadonlySet<string> = new Set(['claims', 'authorization_details']);

/** What is JSON in a query is JSON in a claim. @source OpenID Connect Core 1.0 §6.1, RFC 9396 §4 */
function asClaims(parameters: Readonly<Record<string, string>>): Record<string, unknown> {
  const claims = Object.entries(parameters).map(([name, text]): [string, unknown] => {
    if (!jsonParameters.has(name)) return [name, text];
    try {
      return [name, JSON.parse(text)];
    } catch {
      throw new PosternError('request.malformed', `The ${name} that the request asks for are no JSON.`);
    }
  });
  return Object.fromEntries(claims);
}
