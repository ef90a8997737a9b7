import { Injectable } from '@nestjs/common';
import { hash, verify } from '@node-rs/argon2';
import { PosternError } from '@postern/contracts';
import { randomToken, Secret } from '@postern/crypto';

import { Platforms } from '../platforms.ts';
import type { PlatformCaller } from './platform-token.ts';

/** Each check takes 64 MiB for a moment: more at once would let strangers take the memory. */
const checksAtOnceMax = 4;
const checksWaitingMax = 64;

/** Checks client credentials against the hashes of ADMIN, as slowly for an unknown client as for a known one. */
@Injectable()
export class ClientCredentials {
  /** What the secret of an unknown client is compared with, so that the time tells nobody which ids exist. */
  readonly #decoy = hash(randomToken(32), { memoryCost: 65_536, timeCost: 3, parallelism: 1 });
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(private readonly platforms: Platforms) {}

  /** @throws {PosternError} `auth.client_invalid`; `request.rate_limited` when too many are being checked. */
  async check(clientId: string, clientSecret: Secret): Promise<PlatformCaller> {
    const platform = this.platforms.enabledClient(clientId);
    const secretHash = platform?.secretHash ?? (await this.#decoy);
    const matches = await this.#inTurn(() => verify(secretHash, clientSecret.reveal()));
    if (platform?.secretHash === secretHash && matches) {
      return { tenantId: platform.tenantId, platformId: platform.platformId };
    }
    throw new PosternError('auth.client_invalid', 'The client credentials are not valid.');
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= checksAtOnceMax) {
      if (this.#waiting.length >= checksWaitingMax) {
        throw new PosternError('request.rate_limited', 'Too many clients authenticate at once.', {
          details: { retry_after_s: 1 },
        });
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
