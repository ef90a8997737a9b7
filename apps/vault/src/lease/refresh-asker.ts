import { Injectable } from '@nestjs/common';
import { isPosternError, limits, operations, PosternError } from '@postern/contracts';
import { Logger, OperationsClient } from '@postern/service';

import { ConnectionFeed } from '../connection-feed.ts';

/** The version that has ended, or ends too soon. */
export interface StaleCredential {
  readonly tenantId: string;
  readonly platformId: string;
  readonly connectionId: string;
  readonly credentialVersion: number;
}

/** Asks `refresh` once a credential version, however many leases wait for it. */
@Injectable()
export class RefreshAsker {
  readonly #client: OperationsClient;
  readonly #feed: ConnectionFeed;
  readonly #logger: Logger;
  readonly #asking = new Map<string, Promise<PosternError | undefined>>();

  constructor(client: OperationsClient, feed: ConnectionFeed, logger: Logger) {
    this.#client = client;
    this.#feed = feed;
    this.#logger = logger;
  }

  /**
   * Waits for the refresh, no longer than `leaseRefreshWaitMs`, and until its outcome is applied here.
   *
   * @returns why there was no outcome; the state of the connection decides what that means.
   */
  async ask(stale: StaleCredential): Promise<PosternError | undefined> {
    const name = `${stale.tenantId}/${stale.connectionId}/${stale.credentialVersion}`;
    const asking = this.#asking.get(name) ?? this.#ask(stale).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return await asking;
  }

  async #ask(stale: StaleCredential): Promise<PosternError | undefined> {
    const { tenantId, platformId, connectionId, credentialVersion } = stale;
    try {
      const { position } = await this.#client.call(
        operations.refreshConnection,
        { tenantId, platformId },
        { connection_id: connectionId, credential_version: credentialVersion },
        { timeoutMs: limits.leaseRefreshWaitMs },
      );
      await this.#feed.waitForPosition(position, limits.requestTimeoutMs);
      return undefined;
    } catch (error) {
      if (!isPosternError(error)) throw error;
      this.#logger.info('a refresh that was asked for brought no outcome', { connectionId, code: error.code });
      return error;
    }
  }
}
