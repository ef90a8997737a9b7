import { Injectable } from '@nestjs/common';
import { isPosternError, limits, operations, type PosternError } from '@postern/contracts';
import { connectionEvolver, type Connection } from '@postern/domain';
import { subjectOf, type LogEntry } from '@postern/event-log';
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
  ask(stale: StaleCredential): Promise<PosternError | undefined> {
    const name = `${stale.tenantId}/${stale.connectionId}/${stale.credentialVersion}`;
    const known = this.#asking.get(name);
    if (known !== undefined) return known;
    const asking = this.#ask(stale).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    return asking;
  }

  /** A newer version that our own feed shows is the answer, and mostly here before the one that `refresh` gives. */
  async #ask(stale: StaleCredential): Promise<PosternError | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<PosternError | undefined>();
    const settled = new AbortController();
    const wait = { timeoutMs: limits.leaseRefreshWaitMs, signal: settled.signal };
    // Silence of the feed says nothing: then the answer counts.
    this.#feed
      .waitForEntry((entry) => isNewer(entry, stale), wait)
      .then(
        () => resolve(undefined),
        () => undefined,
      );
    this.#askRefresh(stale).then(resolve, reject);
    try {
      return await promise;
    } finally {
      settled.abort();
    }
  }

  async #askRefresh({ tenantId, platformId, connectionId, credentialVersion }: StaleCredential) {
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

/** Has the connection another credential after this commit than the one that ended? */
function isNewer(
  { subject, commit }: LogEntry,
  { tenantId, connectionId, credentialVersion }: StaleCredential,
): boolean {
  if (commit.stateVersion !== connectionEvolver.stateVersion) return false;
  if (subject !== subjectOf({ tenantId, kind: 'connection', id: connectionId })) return false;
  return ((commit.state as Connection).credential?.version ?? 0) > credentialVersion;
}
