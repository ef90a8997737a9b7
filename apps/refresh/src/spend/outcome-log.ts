import { Injectable } from '@nestjs/common';
import type { ConnectionEvent, TokenSet } from '@postern/contracts';
import { recordRefreshed, recordRefreshFailed, recordRefreshRejected, type Connection } from '@postern/domain';
import type { DecideContext, Executed } from '@postern/event-log';
import type { Rejected } from '@postern/provider-client';
import { Clock, commitOrigin, crashPoint } from '@postern/service';

import type { HeldClaim } from '../claim/held-claim.ts';
import { Connections, refreshActor } from '../connections.ts';
import { Plans } from '../schedule/plans.ts';
import { insist } from './insist.ts';
import { nextAttemptAtMs, type Failure } from './retry-plan.ts';

/** Says that the message in hand is still being worked on. */
export type StillWorking = () => void;

/** Writes down what became of a claim, as often as it takes. */
@Injectable()
export class OutcomeLog {
  constructor(
    private readonly connections: Connections,
    private readonly plans: Plans,
    private readonly clock: Clock,
  ) {}

  /** The connection as the leader has it. */
  async state({ tenantId, connectionId: id }: HeldClaim): Promise<Connection> {
    return (await this.connections.load({ tenantId, id }, { fromLeader: true })).state;
  }

  /** @returns whether it stands in the log now. */
  async refreshed(
    held: HeldClaim,
    outcome: { readonly tokenSet: TokenSet; readonly rotated: boolean; readonly credentialVersion: number },
    stillWorking: StillWorking,
  ): Promise<boolean> {
    const { tokenSet, rotated, credentialVersion } = outcome;
    const { grantedScopes, accessTokenExpiresAtMs } = tokenSet;
    const command = { claimId: held.claimId, credentialVersion, grantedScopes, accessTokenExpiresAtMs, rotated };
    const { appended } = await this.#record(held, stillWorking, (state, { nowMs }) =>
      recordRefreshed({ ...command, nowMs }, state),
    );
    return appended;
  }

  /** Proves something only about the version that is current; the domain knows. */
  async rejected(held: HeldClaim, refusal: Rejected, stillWorking: StillWorking): Promise<boolean> {
    const { error, errorDescription, httpStatus } = refusal;
    const command = { claimId: held.claimId, error, errorDescription, httpStatus };
    const { appended } = await this.#record(held, stillWorking, (state, { nowMs }) =>
      recordRefreshRejected({ ...command, nowMs }, state),
    );
    return appended;
  }

  /** Nothing is said of the grant; the connection is degraded and may be tried again after a while. */
  async failed(held: HeldClaim, failure: Failure, stillWorking: StillWorking): Promise<void> {
    const { error, errorDescription, httpStatus } = failure;
    const said = { error, ...(errorDescription !== null && { errorDescription }), httpStatus };
    const random = this.clock.random();
    await this.#record(held, stillWorking, (state, { nowMs }) => {
      const atMs = nextAttemptAtMs(state, failure, { nowMs, random, restEndsAtMs: this.plans.restEndOf(state) });
      return recordRefreshFailed({ claimId: held.claimId, ...said, nextAttemptAtMs: atMs, nowMs }, state);
    });
  }

  async #record(
    { tenantId, connectionId: id, claimId }: HeldClaim,
    stillWorking: StillWorking,
    decide: (state: Connection, context: DecideContext<Connection>) => ConnectionEvent[],
  ): Promise<Executed<Connection, ConnectionEvent>> {
    const options = { actor: refreshActor, ...commitOrigin(), causationId: claimId };
    const record = () => this.connections.execute({ tenantId, id }, decide, options);
    const recorded = await insist(record, { clock: this.clock, onRetry: stillWorking });
    crashPoint('after the outcome', id);
    return recorded;
  }
}
