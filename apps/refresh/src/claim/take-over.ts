import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf } from '@postern/contracts';
import { interruptedClaims, interruptRefresh, recordRefreshed, type Claim } from '@postern/domain';
import { commitOrigin, Logger, OperationsClient } from '@postern/service';

import { Connections, refreshActor } from '../connections.ts';
import type { Due } from '../due/due-messages.ts';
import { Plans } from '../schedule/plans.ts';

/**
 * Ends a claim whose worker was not heard of for longer than the claim's time.
 *
 * Three things can have happened, and the log and the vault tell them apart: the vault holds what the claim bought,
 * so its outcome is written down; the refresh token was never released, so nothing was sent; or nobody can know.
 */
@Injectable()
export class TakeOver {
  constructor(
    private readonly connections: Connections,
    private readonly operations: OperationsClient,
    private readonly plans: Plans,
    private readonly logger: Logger,
  ) {}

  /** @throws {PosternError} what the vault or the log answers; nothing is decided then. */
  async end(due: Due, claim: Claim): Promise<void> {
    const bought = claim.released ? await this.#find(due, claim.claimId) : undefined;
    if (bought !== undefined && (await this.#record(due, claim.claimId, bought))) return;
    await this.#interrupt(due, claim.claimId);
  }

  /**
   * Records what an interrupted claim bought after all: its worker may have been slow, stored it when the claim had been
   * ended already, and died before it could say so. To be asked before the retry, which would spend a token that is
   * spent, and when the retry is refused: that may be why.
   *
   * @returns whether there was anything. @throws {PosternError} what the vault or the log answers
   */
  async recover(due: ConnectionIds): Promise<boolean> {
    const { tenantId, connectionId: id } = due;
    const { state } = await this.connections.load({ tenantId, id });
    for (const claimId of interruptedClaims(state)) {
      const bought = await this.#find(due, claimId);
      if (bought !== undefined && (await this.#record(due, claimId, bought))) return true;
    }
    return false;
  }

  async #find({ tenantId, connectionId }: ConnectionIds, claimId: string): Promise<Bought | undefined> {
    const found = await this.operations.call(
      operations.findCredential,
      { app: 'refresh' },
      { tenant_id: tenantId, connection_id: connectionId, bought_by: claimId },
    );
    const { credential_version: credentialVersion } = found;
    return found.found && credentialVersion !== null ? { ...found, credential_version: credentialVersion } : undefined;
  }

  async #record({ tenantId, connectionId }: ConnectionIds, claimId: string, bought: Bought): Promise<boolean> {
    const { appended } = await this.connections.execute(
      { tenantId, id: connectionId },
      (state, { nowMs }) => {
        const outcome = {
          claimId,
          credentialVersion: bought.credential_version,
          grantedScopes: bought.granted_scopes,
          accessTokenExpiresAtMs: bought.access_token_expires_at_ms,
          rotated: bought.refresh_token_rotated,
        };
        return recordRefreshed({ ...outcome, nowMs }, state);
      },
      { actor: refreshActor, ...commitOrigin(), causationId: claimId, fromLeader: true },
    );
    if (appended) this.logger.warn('the outcome of a dead worker was found and recorded', { connectionId, claimId });
    return appended;
  }

  async #interrupt({ tenantId, connectionId }: Due, claimId: string): Promise<void> {
    const { events } = await this.connections.execute(
      { tenantId, id: connectionId },
      (state, { nowMs }) =>
        interruptRefresh({ claimId, nowMs, claimSeenOver: true, restEndsAtMs: this.plans.restEndOf(state) }, state),
      { actor: refreshActor, ...commitOrigin(), causationId: claimId, fromLeader: true },
    );
    this.logger.warn('the claim of a dead worker was ended', {
      connectionId,
      claimId,
      events: events.map(({ type }) => type),
    });
  }
}

type ConnectionIds = Pick<Due, 'tenantId' | 'connectionId'>;

type Bought = ReplyOf<typeof operations.findCredential> & { readonly credential_version: number };
