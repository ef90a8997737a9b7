import { Injectable } from '@nestjs/common';
import { isPosternError, operations, PosternError, type TokenSet } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { refreshOutcomeFate } from '@postern/domain';
import type { ProviderClient } from '@postern/provider-client';
import { Clock, crashPoint, Logger, OperationsClient } from '@postern/service';

import type { HeldClaim } from '../claim/held-claim.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { insist, mayPass } from './insist.ts';
import { OutcomeLog, type StillWorking } from './outcome-log.ts';
import { SealedTokens } from './sealed-tokens.ts';

/** Fresh tokens, of which nobody else knows yet. */
export interface Bought {
  readonly held: HeldClaim;
  readonly client: ProviderClient;
  readonly tokenSet: TokenSet;
  readonly rotated: boolean;
}

/** How often a welcome token set is offered again after others were stored at the same moment. */
const keepAttemptsMax = 3;

/**
 * Puts fresh tokens where they belong: sealed into the vault first, then into the log as the next version.
 *
 * If the connection took another turn meanwhile, the log says what becomes of them; nothing newer is ever overwritten.
 */
@Injectable()
export class KeepBought {
  constructor(
    private readonly sealing: SealedTokens,
    private readonly operations: OperationsClient,
    private readonly outcomes: OutcomeLog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** @throws {PosternError} when they could be stored or recorded nowhere: the claim is left to be taken over. */
  async keep(bought: Bought, stillWorking: StillWorking): Promise<void> {
    const { held, rotated } = bought;
    for (let attempt = 1; attempt <= keepAttemptsMax; attempt += 1) {
      const credentialVersion = await this.#store(bought, stillWorking);
      crashPoint('after the vault stored', held.connectionId);
      if (
        credentialVersion !== undefined &&
        (await this.outcomes.refreshed(held, { ...bought, credentialVersion }, stillWorking))
      ) {
        return;
      }
      const state = await this.#insist(() => this.outcomes.state(held), stillWorking);
      const fate = refreshOutcomeFate(state, { claimId: held.claimId, rotated });
      if (fate === 'recorded') return;
      if (fate !== 'welcome') return await this.#letGo(bought, fate);
    }
    throw new PosternError('log.conflict', 'Fresh tokens are welcome, and were not taken.');
  }

  /** @returns the version they got; undefined when the vault does not want them any more. */
  async #store({ held, tokenSet }: Bought, stillWorking: StillWorking): Promise<number | undefined> {
    const { tenantId, connectionId, claimId } = held;
    const request = {
      tenant_id: tenantId,
      connection_id: connectionId,
      bought_by: claimId,
      sealed_token_set: this.sealing.seal(held, tokenSet),
    };
    const store = () => this.operations.call(operations.storeCredential, { app: 'refresh' }, request);
    try {
      return (await this.#insist(store, stillWorking)).credential_version ?? undefined;
    } catch (error) {
      if (!isPosternError(error) || mayPass(error)) throw error;
      this.logger.info('the vault does not take fresh tokens', { connectionId, claimId, code: error.code });
      return undefined;
    }
  }

  async #insist<T>(run: () => Promise<T>, onRetry: StillWorking): Promise<T> {
    return await insist(run, { clock: this.clock, onRetry });
  }

  /** @source RFC 7009 §2.1 */
  async #letGo({ held, client, tokenSet }: Bought, fate: 'revoke' | 'drop'): Promise<void> {
    const { connectionId, claimId } = held;
    this.logger.warn('fresh tokens are not welcome any more', { connectionId, claimId, fate });
    if (fate === 'drop') return;
    const { refreshToken, accessToken } = tokenSet;
    const hint = refreshToken === null ? 'access_token' : 'refresh_token';
    const token = Secret.from(refreshToken ?? accessToken);
    for (let attempt = 1; attempt <= refreshLimits.revokeAttemptsMax; attempt += 1) {
      const outcome = await client.revoke({ token, hint });
      if (outcome.kind === 'revoked') return;
      const { error, httpStatus, retryable } = outcome;
      this.logger.error('fresh tokens of an ended connection were not revoked', { connectionId, error, httpStatus });
      if (!retryable) return;
    }
  }
}
