import { Injectable } from '@nestjs/common';
import { isPosternError, operations } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { Logger, OperationsClient } from '@postern/service';

/** Has a hint confirmed by the only one who knows: the provider, at a refresh of the suspected version. */
@Injectable()
export class ConfirmHint {
  constructor(
    private readonly operations: OperationsClient,
    private readonly logger: Logger,
  ) {}

  /**
   * Asks once for the version that is suspected; whatever the provider answers, `refresh` records. A refresh that
   * cannot be now is scheduled by `refresh` itself, and one that never can be leaves the suspicion for people to see.
   *
   * @throws {PosternError} when nobody could be asked: ask again
   */
  async of({ tenantId, platformId, connectionId, credential }: Connection): Promise<void> {
    if (credential === null) return;
    const request = { connection_id: connectionId, credential_version: credential.version };
    try {
      await this.operations.call(operations.refreshConnection, { tenantId, platformId }, request);
      this.logger.info('a hint was not confirmed: the refresh succeeded', { tenantId, connectionId });
    } catch (error) {
      if (!isPosternError(error) || error.code === 'bus.unavailable') throw error;
      this.logger.info('a hint led to a refresh that brought no token', { tenantId, connectionId, code: error.code });
    }
  }
}
