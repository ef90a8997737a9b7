import { Injectable } from '@nestjs/common';
import { isHttpsOrLoopback, operations, PosternError, type ReplyOf, type RequestOf } from '@postern/contracts';
import { generateJwtKey, jwtSigner, randomToken, zero, type JwsPublicJwk } from '@postern/crypto';
import type { Call } from '@postern/nats';
import { callingApp, Clock, Serves } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { OwnedSecrets, type SecretPlace } from '../owned-secrets.ts';

/** The tokens of a connection are bound to one key for as long as they live, so it has one version. */
const version = 1;

/**
 * Signs DPoP proofs with a key of the connection's own.
 *
 * A key for each connection and not one for each registration: it is shredded with the connection, so that no proof for
 * its tokens can be made ever again, and who breaks one has one.
 *
 * @source RFC 9449 §4.2, docs/adr/0012
 */
@Injectable()
export class SignDpopProof {
  constructor(
    private readonly connections: Connections,
    private readonly secrets: OwnedSecrets,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.signDpopProof)
  async sign(
    request: RequestOf<typeof operations.signDpopProof>,
    call: Call,
  ): Promise<ReplyOf<typeof operations.signDpopProof>> {
    callingApp(call, ['authorization', 'refresh', 'revocation']);
    const { htm, htu, nonce, ath } = request;
    if (!isHttpsOrLoopback(htu)) throw new PosternError('request.malformed', 'A proof is for an https URL.');
    const pkcs8 = await this.#keyOf(await this.#placeOf(request));
    try {
      const { publicJwk, sign } = jwtSigner(pkcs8);
      const iat = Math.floor(this.clock.nowMs() / 1000);
      const claims = { jti: randomToken(), htm, htu, iat, ...(nonce && { nonce }), ...(ath && { ath }) };
      const proof = sign({ header: { typ: 'dpop+jwt', jwk: bareJwk(publicJwk) }, claims });
      return { proof, jkt: publicJwk.kid };
    } finally {
      zero(pkcs8);
    }
  }

  async #placeOf({
    tenant_id: tenantId,
    connection_id: id,
  }: RequestOf<typeof operations.signDpopProof>): Promise<SecretPlace> {
    const { state } = await this.connections.load({ tenantId, id }, { fromLeader: true });
    if (state.authorization === 'none') {
      throw new PosternError('connection.not_found', 'There is no such connection.');
    }
    if (state.keyShredded) throw new PosternError('connection.deleted', 'The key of this connection was shredded.');
    const { connectionId, providerId } = ownerOf(state);
    return { tenantId, providerId, ownerId: connectionId, kind: 'dpop_key' };
  }

  async #keyOf(place: SecretPlace): Promise<Buffer> {
    try {
      return await this.secrets.open(place, version);
    } catch (error) {
      if (!(error instanceof PosternError) || error.code !== 'vault.credential_missing') throw error;
    }
    const made = generateJwtKey('ES256');
    try {
      // Whoever was first has made the key; the other's is forgotten.
      await this.secrets.insert(place, { version, secret: made });
    } finally {
      zero(made);
    }
    return await this.secrets.open(place, version);
  }
}

/** What a proof shows of its key, and nothing that would name us. @source RFC 9449 §4.2 */
function bareJwk(jwk: JwsPublicJwk): object {
  const { kid: _kid, alg: _alg, use: _use, ...bare } = jwk;
  return bare;
}
