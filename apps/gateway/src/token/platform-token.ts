import { Injectable } from '@nestjs/common';
import { limits, newId, PosternError } from '@postern/contracts';
import { jwtVerify, SignJWT } from 'jose';

import { GatewayConfig } from '../gateway-config.ts';
import { Platforms } from '../platforms.ts';

/** The platform that a valid access token names. */
export interface PlatformCaller {
  readonly tenantId: string;
  readonly platformId: string;
}

const algorithm = 'HS256';
const type = 'at+jwt';

/**
 * The platforms' access tokens: signed by the gateway for the gateway, good for 15 minutes.
 *
 * @source RFC 9068 for the claims; the key is symmetric since nobody else reads them
 */
@Injectable()
export class PlatformToken {
  readonly #key: Uint8Array;
  readonly #issuer: string;

  constructor(
    config: GatewayConfig,
    private readonly platforms: Platforms,
  ) {
    this.#key = Buffer.from(config.tokenKey.reveal().trim());
    this.#issuer = config.publicUrl;
  }

  async issue({ tenantId, platformId }: PlatformCaller): Promise<string> {
    return new SignJWT({ tenant_id: tenantId, client_id: platformId })
      .setProtectedHeader({ alg: algorithm, typ: type })
      .setIssuer(this.#issuer)
      .setAudience(this.#issuer)
      .setSubject(platformId)
      .setJti(newId('correlation'))
      .setIssuedAt()
      .setExpirationTime(`${limits.platformTokenTtlS}s`)
      .sign(this.#key);
  }

  /**
   * Who calls, as the Authorization header proves it.
   *
   * @throws {PosternError} `auth.token_missing`, `auth.token_invalid`; the latter also for a platform disabled since.
   * @source RFC 6750 §2.1
   */
  async callerOf(authorization: string | undefined): Promise<PlatformCaller> {
    const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(authorization ?? '')?.[1];
    if (token === undefined) throw new PosternError('auth.token_missing', 'The request carries no access token.');
    const caller = await this.#verified(token);
    const platform = caller === undefined ? undefined : this.platforms.enabled(caller);
    if (platform === undefined) throw new PosternError('auth.token_invalid', 'The access token is not valid.');
    return { tenantId: platform.tenantId, platformId: platform.platformId };
  }

  async #verified(token: string): Promise<PlatformCaller | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [algorithm],
        typ: type,
        issuer: this.#issuer,
        audience: this.#issuer,
        requiredClaims: ['exp', 'sub', 'tenant_id'],
      });
      return { tenantId: String(payload['tenant_id']), platformId: String(payload.sub) };
    } catch {
      return undefined;
    }
  }
}
