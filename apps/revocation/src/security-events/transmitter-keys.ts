import { Injectable } from '@nestjs/common';
import { PosternError } from '@postern/contracts';
import type { Transmitter } from '@postern/domain';
import { guardedFetch } from '@postern/provider-client';
import { Clock } from '@postern/service';
import { createRemoteJWKSet, customFetch, type RemoteJWKSet } from 'jose';

import { RevocationConfig } from '../revocation-config.ts';
import { revocationLimits } from '../revocation-limits.ts';

const { transmitterKeysCachedMs, transmitterKeysAgeMsMin, transmitterKeysTimeoutMs, transmittersCachedMax } =
  revocationLimits;

interface Known {
  readonly jwksUri: string;
  readonly keys: RemoteJWKSet;
}

/**
 * The public keys of transmitters, by the JWKS URL that an administrator gave: never by one that stands in a token.
 *
 * A key that is not known may be a new one, so the set is fetched again for it, but no oftener than every few seconds,
 * whoever sends what.
 */
@Injectable()
export class TransmitterKeys {
  readonly #known = new Map<string, Known>();
  readonly #config: RevocationConfig;
  readonly #clock: Clock;

  constructor(config: RevocationConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  of({ transmitterId, jwksUri }: Transmitter): RemoteJWKSet {
    const known = this.#known.get(transmitterId);
    if (known?.jwksUri === jwksUri) return known.keys;
    const keys = this.#keysAt(jwksUri);
    this.#known.set(transmitterId, { jwksUri, keys });
    const [eldest] = this.#known.keys();
    if (this.#known.size > transmittersCachedMax && eldest !== undefined) this.#known.delete(eldest);
    return keys;
  }

  #keysAt(jwksUri: string): RemoteJWKSet {
    const { allowLoopbackProviders: allowLoopback } = this.#config;
    const fetch = guardedFetch({ allowLoopback, timeoutMs: transmitterKeysTimeoutMs });
    let triedAtMs = -Infinity;
    return createRemoteJWKSet(new URL(jwksUri), {
      cacheMaxAge: transmitterKeysCachedMs,
      cooldownDuration: transmitterKeysAgeMsMin,
      [customFetch]: async (url, { headers }) => {
        const nowMs = this.#clock.monotonicMs();
        if (nowMs - triedAtMs < transmitterKeysAgeMsMin) throw unavailable();
        triedAtMs = nowMs;
        try {
          const response = await fetch(url, { method: 'GET', headers: Object.fromEntries(headers) });
          if (response.status === 200) return response;
        } catch (cause) {
          throw unavailable(cause);
        }
        throw unavailable();
      },
    });
  }
}

function unavailable(cause?: unknown): PosternError {
  const message = 'The keys of the transmitter could not be fetched.';
  return new PosternError('signal.keys_unavailable', message, cause === undefined ? {} : { cause });
}
