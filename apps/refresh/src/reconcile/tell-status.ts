import { Injectable } from '@nestjs/common';
import { operations, timestampOf, type RefreshStatus, type ReplyOf } from '@postern/contracts';
import { Clock, Serves } from '@postern/service';

import { Pace } from '../pace/pace.ts';
import { Reconciler } from './reconciler.ts';

/** Answers `refresh.status`: what the log and the schedules say, and whom this process leaves alone. */
@Injectable()
export class TellStatus {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly pace: Pace,
    private readonly clock: Clock,
  ) {}

  @Serves(operations.refreshStatus)
  async status(): Promise<ReplyOf<typeof operations.refreshStatus>> {
    return { ...(await this.reconciler.status()), open_breakers: this.#openBreakers() };
  }

  #openBreakers(): RefreshStatus['open_breakers'] {
    const nowMs = this.clock.nowMs();
    return this.pace
      .readings()
      .filter(({ breaker }) => breaker !== 'closed')
      .map(({ providerId, registrationId, breaker, nextTrialInMs, failuresInARow, lastError }) => ({
        provider: providerId,
        registration_id: registrationId,
        next_trial_at: breaker === 'half_open' || nextTrialInMs === null ? null : timestampOf(nowMs + nextTrialInMs),
        failures_in_a_row: failuresInARow,
        last_error: lastError,
      }));
  }
}
