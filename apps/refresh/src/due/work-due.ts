import { Controller } from '@nestjs/common';
import type { WorkMessage } from '@postern/nats';
import { annotate, Clock, crashPoint, Metrics, Works, type Histogram } from '@postern/service';

import { ClaimWatch } from '../claim/claim-watch.ts';
import { TakeClaim, type Taken } from '../claim/take-claim.ts';
import { TakeOver } from '../claim/take-over.ts';
import { Connections } from '../connections.ts';
import { Pace, type Permit } from '../pace/pace.ts';
import { refreshLimits } from '../refresh-limits.ts';
import { KeepSchedule } from '../schedule/keep-schedule.ts';
import { SpendClaim, type Spent } from '../spend/spend-claim.ts';
import { dueTimeOf, readDue, type Due } from './due-messages.ts';
import { ScheduledDue } from './scheduled-due.ts';

const unpaced: Permit = { kind: 'permit', end: () => undefined };

/**
 * Works off due messages. Each is acknowledged only when its outcome stands in the log, or when there is nothing to
 * do and a schedule stands for what will be; delivered again at any point, it decides on the newest state, so an
 * acknowledgement may be lost.
 */
@Controller()
export class WorkDue {
  readonly #lagSeconds: Histogram;

  constructor(
    private readonly claims: TakeClaim,
    private readonly watch: ClaimWatch,
    private readonly takeOver: TakeOver,
    private readonly spending: SpendClaim,
    private readonly scheduled: ScheduledDue,
    private readonly keeper: KeepSchedule,
    private readonly connections: Connections,
    private readonly pace: Pace,
    private readonly clock: Clock,
    metrics: Metrics,
  ) {
    this.#lagSeconds = metrics.histogram('postern.refresh.due_lag');
  }

  @Works('refreshWorker', {
    concurrencyMax: refreshLimits.workConcurrencyMax,
    prefetchMax: refreshLimits.workPrefetchMax,
    confirms: false,
  })
  async due(payload: unknown, message: WorkMessage): Promise<void> {
    const due = readDue(message.subject, payload);
    annotate(() => ({ 'postern.connection.id': due.connectionId, 'postern.refresh.reason': due.reason }));
    const seat = await this.pace.seat(due.tenantId, dueTimeOf(due));
    if (seat.kind === 'put_back') return message.passOver(seat.delayMs);
    const toldInMs = refreshLimits.workUntoldMs - seat.waitedMs;
    const callOff = this.clock.after(toldInMs, () => message.working());
    try {
      const ripeness = due.reason === 'scheduled' ? await this.scheduled.ripeness(due, message) : 'refresh';
      if (ripeness === 'refresh') await this.#refresh(due, message);
      else if (ripeness === 'nothing') await this.#nothing(due);
      crashPoint('before the acknowledgement', due.connectionId);
    } finally {
      callOff();
      seat.leave();
    }
  }

  async #refresh(asked: Due, message: WorkMessage): Promise<void> {
    let due = asked;
    for (let step = 1; step <= refreshLimits.stepsPerDueMax; step += 1) {
      if (await this.takeOver.recover(due)) return await this.#nothing(due);
      const taken = await this.#take(due, message);
      if (taken === 'put_back' || taken === 'settled') return;
      if (taken === 'superseded') {
        due = await this.#newer(due);
        continue;
      }
      if (taken.kind === 'nothing') return await this.#nothing(due);
      if (this.#mustWait(taken, message)) return;
      await this.takeOver.end(due, taken.claim);
    }
    message.nak(refreshLimits.putBackMs);
  }

  /** The version that stands now, to be tried at once: no lease should find out whether the provider still honors it. */
  async #newer({ tenantId, connectionId }: Due): Promise<Due> {
    const { state, position } = await this.connections.load({ tenantId, id: connectionId });
    const credentialVersion = state.credential?.version ?? 0;
    return { tenantId, connectionId, reason: 'requested', credentialVersion, position };
  }

  /** The message is acknowledged after this, and may have been all that would have woken anybody. */
  async #nothing({ tenantId, connectionId: id }: Due): Promise<void> {
    await this.keeper.ensure({ tenantId, id });
  }

  /** Claims and spends at the provider's pace; whatever its pace, a claim that stands is looked after. */
  async #take(due: Due, message: WorkMessage): Promise<'put_back' | Spent | Exclude<Taken, { kind: 'claimed' }>> {
    const { state } = await this.connections.load({ tenantId: due.tenantId, id: due.connectionId });
    const turn = state.claim === null ? this.pace.turn(state) : unpaced;
    if (turn.kind === 'put_back') {
      message.nak(turn.delayMs);
      return 'put_back';
    }
    let called = false;
    try {
      crashPoint('before the claim', due.connectionId);
      const taken = await this.claims.take(due);
      if (taken.kind !== 'claimed') return taken;
      if (taken.ready === undefined) crashPoint('after the claim', due.connectionId);
      called = true;
      if (due.dueAtMs !== undefined) this.#lagSeconds.observe((this.clock.nowMs() - due.dueAtMs) / 1_000);
      return await this.spending.spend(taken, message);
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
