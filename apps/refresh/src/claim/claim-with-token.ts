import { Injectable } from '@nestjs/common';
import { isPosternError } from '@postern/contracts';
import { startRefresh, type Connection } from '@postern/domain';
import { Clock, Logger } from '@postern/service';

import { Connections } from '../connections.ts';
import type { Due } from '../due/due-messages.ts';
import { RefreshConfig } from '../refresh-config.ts';
import { ProviderClients, type RefreshingClient } from '../spend/provider-clients.ts';
import { ReleasedTokens, type ReleasedToken } from '../spend/released-tokens.ts';
import { heldClaim, type HeldClaim, type NewClaim } from './held-claim.ts';

/** A claim, and what it is spent with: the client at the provider, and the refresh token. */
export interface ReadyClaim {
  readonly held: HeldClaim;
  readonly client: RefreshingClient;
  readonly released: ReleasedToken;
}

/**
 * Has the vault claim a planned refresh and give its token to the claim in one commit, where everything else is at hand.
 *
 * That is one commit, with its signature and its way to every follower, in the place of two. It is for the ordinary case: a
 * plan whose time has come, for a connection that is well as far as memory knows. The vault decides it anew by the log; whatever
 * is in the way, or not heard, is left to who claims in two steps.
 */
@Injectable()
export class ClaimWithToken {
  constructor(
    private readonly config: RefreshConfig,
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly providers: ProviderClients,
    private readonly tokens: ReleasedTokens,
    private readonly logger: Logger,
  ) {}

  /** @returns undefined where it was not tried, or is not known to have come about: the same claim may stand then. */
  async take(due: Due, claim: NewClaim): Promise<ReadyClaim | undefined> {
    const { tenantId, connectionId, credentialVersion } = due;
    const known = this.connections.peek({ tenantId, id: connectionId });
    if (known === undefined || !this.#isOrdinary(due, known.state)) return undefined;
    const held = heldClaim(due, claim, known.state);
    try {
      const client = await this.providers.of(held);
      const claimed = { credential_version: credentialVersion, timeout_ms: this.config.claimTimeoutMs };
      return { held, client, released: await this.tokens.release(held, claimed) };
    } catch (error) {
      if (!isPosternError(error)) throw error;
      const { claimId } = claim;
      this.logger.debug('a claim was not had together with its token', { connectionId, claimId, code: error.code });
      return undefined;
    }
  }

  #isOrdinary({ reason, credentialVersion }: Due, state: Connection): boolean {
    if (reason !== 'scheduled' || state.health.status !== 'ok' || state.claim !== null) return false;
    const command = { claimId: '', claimTimeoutMs: 0, reason, credentialVersion, nowMs: this.clock.nowMs() };
    try {
      return startRefresh(command, state)[0]?.type === 'RefreshStarted';
    } catch (error) {
      if (isPosternError(error)) return false;
      throw error;
    }
  }
}
