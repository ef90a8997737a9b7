import { Controller } from '@nestjs/common';
import type { WorkMessage } from '@postern/nats';
import { Works } from '@postern/service';

import { ClaimWatch } from '../claim/claim-watch.ts';
import { TakeClaim, type Taken } from '../claim/take-claim.ts';
import { TakeOver } from '../claim/take-over.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { SpendClaim } from '../spend/spend-claim.ts';
import { readDue } from './due-messages.ts';

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
  ) {}

  @Works('refreshWorker', { concurrencyMax: refreshLimits.workConcurrencyMax })
  async due(payload: unknown, message: WorkMessage): Promise<void> {
    const due = readDue(message.subject, payload);
    for (let step = 1; step <= refreshLimits.stepsPerDueMax; step += 1) {
      const taken = await this.claims.take(due);
      if (taken.kind === 'nothing') return;
      if (taken.kind === 'claimed') return await this.spending.spend(taken.held, message);
      if (this.#mustWait(taken, message)) return;
      await this.takeOver.end(due, taken.claim);
    }
    message.nak(refreshLimits.putBackMs);
  }

  /** A live claim: acknowledging the message could remove the only wake-up, so it is put back until the claim ends. */
  #mustWait(standing: Taken & { kind: 'standing' }, message: WorkMessage): boolean {
    const remainingMs = this.spending.isInHand(standing.claim.claimId)
      ? refreshLimits.putBackMs
      : this.watch.remainingMs(standing);
    if (remainingMs <= 0) return false;
    message.nak(Math.ceil(remainingMs));
    return true;
  }
}
