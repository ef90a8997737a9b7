import { Controller } from '@nestjs/common';
import type { WorkMessage } from '@postern/nats';
import { Works } from '@postern/service';

import { ClaimWatch } from '../claim/claim-watch.ts';
import { TakeClaim, type Taken } from '../claim/take-claim.ts';
import { TakeOver } from '../claim/take-over.ts';
import { Connections } from '../connections.ts';
import { Pace, type Permit } from '../pace/pace.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { SpendClaim } from '../spend/spend-claim.ts';
import { readDue, type Due } from './due-messages.ts';

const unpaced: Permit = { kind: 'permit', end: () => undefined };

/**
 * Works off due messages. Each is acknowledged only when its outcome stands in the log, or when there is nothing to
 * do; delivered again at any point, it decides on the newest state.
 */
@Controller()
export class WorkDue {
  constructor(
    private readonly claims: TakeClaim,
    private readonly watch: ClaimWatch,
    private readonly takeOver: TakeOver,
    private readonly spending: SpendClaim,
    private readonly connections: Connections,
    private readonly pace: Pace,
  ) {}

  @Works('refreshWorker', {
    concurrencyMax: refreshLimits.workConcurrencyMax,
    prefetchMax: refreshLimits.workPrefetchMax,
  })
  async due(payload: unknown, message: WorkMessage): Promise<void> {
    const due = readDue(message.subject, payload);
    const seat = this.pace.seat(due.tenantId);
    if (seat.kind === 'put_back') return message.nak(seat.delayMs);
    try {
      await this.#work(due, message);
    } finally {
      seat.leave();
    }
  }

  async #work(due: Due, message: WorkMessage): Promise<void> {
    for (let step = 1; step <= refreshLimits.stepsPerDueMax; step += 1) {
      const taken = await this.#take(due, message);
      if (taken === 'put_back' || taken === 'spent' || taken.kind === 'nothing') return;
      if (this.#mustWait(taken, message)) return;
      await this.takeOver.end(due, taken.claim);
    }
    message.nak(refreshLimits.putBackMs);
  }

  /** Claims and spends at the provider's pace; whatever its pace, a claim that stands is looked after. */
  async #take(due: Due, message: WorkMessage): Promise<'put_back' | 'spent' | Exclude<Taken, { kind: 'claimed' }>> {
    const { state } = await this.connections.load({ tenantId: due.tenantId, id: due.connectionId });
    const turn = state.claim === null ? this.pace.turn(state) : unpaced;
    if (turn.kind === 'put_back') {
      message.nak(turn.delayMs);
      return 'put_back';
    }
    let called = false;
    try {
      const taken = await this.claims.take(due);
      if (taken.kind !== 'claimed') return taken;
      called = true;
      await this.spending.spend(taken.held, message);
      return 'spent';
    } finally {
      turn.end({ called });
    }
  }

  /** A live claim: acknowledging the message could remove the only wake-up, so it is put back until the claim ends. */
  #mustWait(standing: Extract<Taken, { kind: 'standing' }>, message: WorkMessage): boolean {
    const remainingMs = this.spending.isInHand(standing.claim.claimId)
      ? refreshLimits.putBackMs
      : this.watch.remainingMs(standing);
    if (remainingMs <= 0) return false;
    message.nak(Math.ceil(remainingMs));
    return true;
  }
}
