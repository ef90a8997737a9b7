import { Module } from '@nestjs/common';
import type { ServiceDefinition } from '@postern/service';

import { ClaimWatch } from './claim/claim-watch.ts';
import { ClaimWithToken } from './claim/claim-with-token.ts';
import { TakeClaim } from './claim/take-claim.ts';
import { TakeOver } from './claim/take-over.ts';
import { ConnectionFeed } from './connection-feed.ts';
import { Connections } from './connections.ts';
import { DueMessages } from './due/due-messages.ts';
import { PassOverDue } from './due/pass-over-due.ts';
import { ScheduledDue } from './due/scheduled-due.ts';
import { WorkDue } from './due/work-due.ts';
import { Pace } from './pace/pace.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { Survey } from './reconcile/survey.ts';
import { TellStatus } from './reconcile/tell-status.ts';
import { RefreshConfig } from './refresh-config.ts';
import { RefreshConnection } from './request/refresh-connection.ts';
import { RefreshFlights } from './request/refresh-flights.ts';
import { Rollouts } from './rollouts.ts';
import { KeepSchedule } from './schedule/keep-schedule.ts';
import { Plans } from './schedule/plans.ts';
import { ScheduleCommits } from './schedule/schedule-commits.ts';
import { Schedules } from './schedule/schedules.ts';
import { KeepBought } from './spend/keep-bought.ts';
import { OutcomeLog } from './spend/outcome-log.ts';
import { ProviderClients } from './spend/provider-clients.ts';
import { ReleasedTokens } from './spend/released-tokens.ts';
import { SealedTokens } from './spend/sealed-tokens.ts';
import { SpendClaim } from './spend/spend-claim.ts';

/** Spends refresh tokens, one claim at a time, when they are due. */
@Module({
  controllers: [WorkDue, ScheduleCommits],
  providers: [
    Connections,
    ClaimWatch,
    ConnectionFeed,
    DueMessages,
    Rollouts,
    { provide: Plans, inject: [Rollouts], useFactory: (rollouts: Rollouts) => new Plans(rollouts) },
    Schedules,
    KeepSchedule,
    PassOverDue,
    ScheduledDue,
    Survey,
    Reconciler,
    TellStatus,
    Pace,
    RefreshFlights,
    RefreshConnection,
    ClaimWithToken,
    TakeClaim,
    TakeOver,
    ProviderClients,
    ReleasedTokens,
    SealedTokens,
    OutcomeLog,
    KeepBought,
    SpendClaim,
  ],
})
export class RefreshModule {}

/** `postern serve refresh`. */
export const refreshService: ServiceDefinition = { app: 'refresh', module: RefreshModule, config: RefreshConfig };
