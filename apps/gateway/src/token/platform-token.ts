import { hash } from 'node:crypto';

import { Injectable } from '@nestjs/common';
import { limits, newId, PosternError } from '@postern/contracts';
import { Clock } from '@postern/service';
import { jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';

import { GatewayConfig } from '../gateway-config.ts';
import { Platforms } from '../platforms.ts';

/** The platform that a valid access token names. */
export interface PlatformCaller {
  readonly tenantId: string;
  readonly platformId: string;
}

const algorithm = 'HS256';
const type = 'at+jwt';
/** Tokens that were verified, by their digest: a platform shows the same one with every request. */
const verifiedTokensMax = 10_000;

/** What a token's signature has proved, for as long as the token lives. */
interface Verified {
  readonly caller: PlatformCaller;
  /** As the token says it. */
  readonly expiresAtS: number;
}

/**
 * The platforms' access tokens: signed by the gateway for the gateway, good for 15 minutes.
 *
 * @source RFC 9068 for the claims; the key is symmetric since nobody else reads them
 */
@Injectable()
export class PlatformToken {
  readonly #key: Uint8Array;
  readonly #issuer: string;
  readonly #verified = new LRUCache<string, Verified>({ max: verifiedTokensMax });

  constructor(
    config: GatewayConfig,
    private readonly platforms: Platforms,
    private readonly clock: Clock,
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
    const verified = this.#remembered(token) ?? (await this.#verify(token));
    // Asked with every request, however well the token is known: a platform is disabled at once.
    const platform = verified === undefined ? undefined : this.platforms.enabled(verified.caller);
    if (platform === undefined) throw new PosternError('auth.token_invalid', 'The access token is not valid.');
    return { tenantId: platform.tenantId, platformId: platform.platformId };
  }

  #remembered(token: string): Verified | undefined {
    const digest = digestOf(token);
    const verified = this.#verified.get(digest);
    if (verified === undefined || verified.expiresAtS > Math.floor(this.clock.nowMs() / 1_000)) return verified;
    this.#verified.delete(digest);
    return undefined;
  }

  async #verify(token: string): Promise<Verified | undefined> {
    try {
      const { payload } = await jwtVerify(token, this.#key, {
        algorithms: [algorithm],
        typ: type,
        issuer: this.#issuer,
        audience: this.#issuer,
        requiredClaims: ['exp', 'sub', 'tenant_id'],
        currentDate: new Date(this.clock.nowMs()),
      });
      const caller = { tenantId: String(payload['tenant_id']), platformId: String(payload.sub) };
      const verified = { caller, expiresAtS: Number(payload.exp) };
      this.#verified.set(digestOf(token), verified);
      return verified;
    } catch {
      return undefined;
    }
  }
}

/** Memory holds no token that could be used. */
function digestOf(token: string): string {
  return hash('sha256', token, 'base64url');
}
