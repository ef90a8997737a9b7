import { Injectable } from '@nestjs/common';
import { isPosternError, newId } from '@postern/contracts';
import { startRefresh, type Claim, type Connection, type StartRefresh } from '@postern/domain';
import type { Loaded } from '@postern/event-log';
import { Clock, commitOrigin, Logger } from '@postern/service';

import { Connections, refreshActor } from '../connections.ts';
import type { Due } from '../due/due-messages.ts';
import { RefreshConfig } from '../refresh-config.ts';
import type { StandingClaim } from './claim-watch.ts';
import { ClaimWithToken, type ReadyClaim } from './claim-with-token.ts';
import { heldClaim, type HeldClaim } from './held-claim.ts';

/** `ready`: the vault wrote the claim, and its token is here already. */
export interface Claimed {
  readonly kind: 'claimed';
  readonly held: HeldClaim;
  readonly ready?: ReadyClaim;
}

export type Taken =
  | Claimed
  /** A claim stands, somebody's. */
  | ({ readonly kind: 'standing' } & StandingClaim)
  /** No refresh is wanted, possible or due. */
  | { readonly kind: 'nothing' };

/** Claims the right to spend a refresh token: `RefreshStarted` stands in the log before it is spent. */
@Injectable()
export class TakeClaim {
  constructor(
    private readonly config: RefreshConfig,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly withToken: ClaimWithToken,
    private readonly logger: Logger,
  ) {}

  /** @throws {PosternError} `log.*` */
  async take(due: Due): Promise<Taken> {
    const { tenantId, connectionId, credentialVersion } = due;
    const { claimTimeoutMs } = this.config;
    const claimId = newId('claim');
    const sinceMs = this.clock.monotonicMs();
    const ready = await this.withToken.take(due, { claimId, sinceMs });
    if (ready !== undefined) return { kind: 'claimed', held: ready.held, ready };
    // By the same id: where the vault has claimed and nobody heard of it, this finds the claim to be ours.
    let atMs = 0;
    try {
      const { state } = await this.connections.execute(
        { tenantId, id: connectionId },
        (current, { nowMs, loaded }) => {
          atMs = loaded.atMs;
          const reason = reasonOf(due, loaded);
          return startRefresh({ claimId, claimTimeoutMs, reason, credentialVersion, nowMs }, current);
        },
        { actor: refreshActor, ...commitOrigin() },
      );
      if (state.claim === null) return { kind: 'nothing' };
      if (state.claim.claimId !== claimId) return this.#standing(due, state.claim, atMs);
      return { kind: 'claimed', held: heldClaim(due, { claimId, sinceMs }, state) };
    } catch (error) {
      if (!isPosternError(error) || error.code.startsWith('log.')) throw error;
      this.logger.info('a due refresh is not to be done', { connectionId, code: error.code });
      return { kind: 'nothing' };
    }
  }

  #standing({ tenantId, connectionId: id }: Due, claim: Claim, atMs: number): Taken {
    return { kind: 'standing', subject: this.connections.subjectOf({ tenantId, id }), claim, atMs };
  }
}

/**
 * A request overrides the back-off once: after an attempt has failed since it was made, it waits like everyone. So a
 * due message that is delivered again never hurries twice. What is scheduled after a failure is its retry.
 */
export function reasonOf(
  { reason, position }: Due,
  loaded: Pick<Loaded<Connection>, 'state' | 'position'>,
): StartRefresh['reason'] {
  const failing = loaded.state.health.status === 'degraded';
  return failing && (reason === 'scheduled' || loaded.position > position) ? 'retry' : reason;
}
